"""One cycle, whatever is learned: signals of the node before -> score -> select -> oracle -> labeled.h5 of the node.

Needs split.h5, the sealed truth.h5 (oracle), and the signals of the node before. Makes scores.h5, query.h5 with its
query.csv, labeled.h5; with `shards` of a method several jobs make query_shard<k>.h5, from which the query is chosen before they
are deleted.
"""


rule score:
    input:
        unpack(plan.reads("score")),
    output:
        **plan.writes("score"),
    log:
        plan.log("score"),
    wildcard_constraints:
        **plan.where("score"),
    group:
        plan.group("score")
    conda:
        plan.conda("score")
    resources:
        gpu=0,
        mem_mb=plan.memory("score"),
        runtime=plan.runtime("score"),
    params:
        settings=plan.settings("score"),
        code=plan.code("score"),
        command=plan.command("score"),
    shell:
        "{params.command}"


rule select:
    input:
        unpack(plan.reads("select")),
    output:
        **plan.writes("select"),
    log:
        plan.log("select"),
    wildcard_constraints:
        **plan.where("select"),
    group:
        plan.group("select")
    conda:
        plan.conda("select")
    resources:
        gpu=0,
        mem_mb=plan.memory("select"),
        runtime=plan.runtime("select"),
    params:
        settings=plan.settings("select"),
        code=plan.code("select"),
        command=plan.command("select"),
    shell:
        "{params.command}"


rule select_shard:
    input:
        unpack(plan.reads("select_shard")),
    output:
        query=temp(plan.writes("select_shard")["query"]),
        benchmark=plan.writes("select_shard")["benchmark"],
    log:
        plan.log("select_shard"),
    wildcard_constraints:
        **plan.where("select_shard"),
    conda:
        plan.conda("select_shard")
    resources:
        gpu=0,
        mem_mb=plan.memory("select_shard"),
        runtime=plan.runtime("select_shard"),
    params:
        settings=plan.settings("select_shard"),
        code=plan.code("select_shard"),
        command=plan.command("select_shard"),
    shell:
        "{params.command}"


rule oracle:
    input:
        unpack(plan.reads("oracle")),
    output:
        **plan.writes("oracle"),
    log:
        plan.log("oracle"),
    wildcard_constraints:
        **plan.where("oracle"),
    group:
        plan.group("oracle")
    conda:
        plan.conda("oracle")
    resources:
        gpu=0,
        mem_mb=plan.memory("oracle"),
        runtime=plan.runtime("oracle"),
    params:
        settings=plan.settings("oracle"),
        code=plan.code("oracle"),
        command=plan.command("oracle"),
    shell:
        "{params.command}"
