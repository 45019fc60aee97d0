"""Where a person labels: what is known of the test and the validation set of a seed.

Needs images.h5 and the file of answers that a run writes when it starts. Makes told.h5.
"""


# a second or less: on a cluster it stays on the head node
localrules:
    told,


rule told:
    input:
        unpack(plan.reads("told")),
    output:
        **plan.writes("told"),
    log:
        plan.log("told"),
    conda:
        plan.conda("told")
    resources:
        gpu=0,
        mem_mb=plan.memory("told"),
        runtime=plan.runtime("told"),
    params:
        settings=plan.settings("told"),
        code=plan.code("told"),
        command=plan.command("told"),
    shell:
        "{params.command}"
