"""Optical flow of the training videos, once per data set and shared by all studies. Needs images.h5; makes flow_*/*.h5."""


rule optical_flow:
    input:
        unpack(plan.reads("optical_flow")),
    output:
        **plan.writes("optical_flow"),
    log:
        plan.log("optical_flow"),
    conda:
        plan.conda("optical_flow")
    threads: plan.threads("optical_flow")
    resources:
        gpu=plan.gpu("optical_flow"),
        mem_mb=plan.memory("optical_flow"),
        runtime=plan.runtime("optical_flow"),
    params:
        settings=plan.settings("optical_flow"),
        code=plan.code("optical_flow"),
        command=plan.command("optical_flow"),
    shell:
        "{params.command}"
