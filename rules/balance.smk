"""The weight lambda of class-balanced methods with `weight: auto` (003, secs. 4.4.1 and 4.5.1): the first query of the first seed at every weight.

Needs scores and signals of cycle 0. Makes lambda/<method>.h5 and lambda/<method>.json, which `select` reads.
"""


rule lambda_sweep:
    input:
        unpack(plan.reads("lambda_sweep")),
    output:
        **plan.writes("lambda_sweep"),
    log:
        plan.log("lambda_sweep"),
    conda:
        plan.conda("lambda_sweep")
    resources:
        gpu=0,
        mem_mb=plan.memory("lambda_sweep"),
        runtime=plan.runtime("lambda_sweep"),
    params:
        settings=plan.settings("lambda_sweep"),
        code=plan.code("lambda_sweep"),
        command=plan.command("lambda_sweep"),
    shell:
        "{params.command}"
