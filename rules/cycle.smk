"""One cycle, whatever is learned: signals of the node before -> score -> select -> oracle -> labeled.h5 of the node.

Needs split.h5, the sealed truth.h5 (oracle), and the signals of the node before. Makes scores.h5, query.h5 with its query.csv, labeled.h5.
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
    conda:
        plan.conda("score")
    resources:
        gpu=0,
        mem_mb=4000,
        runtime=60,
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
    conda:
        plan.conda("select")
    resources:
        gpu=0,
        mem_mb=8000,
        runtime=240,
    params:
        settings=plan.settings("select"),
        code=plan.code("select"),
        command=plan.command("select"),
    shell:
        "{params.command}"


rule query_table:
    input:
        unpack(plan.reads("query_table")),
    output:
        **plan.writes("query_table"),
    log:
        plan.log("query_table"),
    wildcard_constraints:
        **plan.where("query_table"),
    conda:
        plan.conda("query_table")
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=30,
    params:
        settings=plan.settings("query_table"),
        code=plan.code("query_table"),
        command=plan.command("query_table"),
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
    conda:
        plan.conda("oracle")
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=30,
    params:
        settings=plan.settings("oracle"),
        code=plan.code("oracle"),
        command=plan.command("oracle"),
    shell:
        "{params.command}"
