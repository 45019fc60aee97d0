"""Stopping a chain of cycles before its last one (config key `stopping`; no job without it).

Needs metrics.json and stop_predictions.h5 of a node. Makes stopping.json. All later jobs of a chain that has stopped end at their
start and leave links.
"""


# a second or less each: on a cluster they stay on the head node
localrules:
    stop_set,
    stopping,


rule stop_set:
    input:
        unpack(plan.reads("stop_set")),
    output:
        **plan.writes("stop_set"),
    log:
        plan.log("stop_set"),
    conda:
        plan.conda("stop_set")
    resources:
        gpu=0,
        mem_mb=plan.memory("stop_set"),
        runtime=plan.runtime("stop_set"),
    params:
        settings=plan.settings("stop_set"),
        code=plan.code("stop_set"),
        command=plan.command("stop_set"),
    shell:
        "{params.command}"


rule stopping:
    input:
        unpack(plan.reads("stopping")),
    output:
        **plan.writes("stopping"),
    log:
        plan.log("stopping"),
    conda:
        plan.conda("stopping")
    resources:
        gpu=0,
        mem_mb=plan.memory("stopping"),
        runtime=plan.runtime("stopping"),
    params:
        settings=plan.settings("stopping"),
        code=plan.code("stopping"),
        command=plan.command("stopping"),
    shell:
        "{params.command}"
