"""What follows detections: optical flow of the training videos, once per data set and shared by all studies, and the network of SiamFC where it is
trained on rendered roads.

Needs images.h5 (flow); makes flow_*/*.h5, siamfc.safetensors.
"""


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


rule siamfc:
    input:
        unpack(plan.reads("siamfc")),
    output:
        **plan.writes("siamfc"),
    log:
        plan.log("siamfc"),
    conda:
        plan.conda("siamfc")
    threads: plan.threads("siamfc")
    resources:
        gpu=plan.gpu("siamfc"),
        mem_mb=plan.memory("siamfc"),
        runtime=plan.runtime("siamfc"),
    params:
        settings=plan.settings("siamfc"),
        code=plan.code("siamfc"),
        command=plan.command("siamfc"),
    shell:
        "{params.command}"
