"""One cycle, whatever is learned: signals of the parent -> score -> select -> oracle -> labeled.h5 of the node.

Needs split.h5, the sealed truth.h5 and the parent's signals (signals.smk, detection.smk).
"""


rule score:
    input:
        unpack(signal_files(["score"])),
        split=f"{SEED}/split.h5",
        stopping=stopped_before("scores.h5"),
        withheld=withheld,
        code=code("score"),
    output:
        f"{NODE}/scores.h5",
    log:
        f"{NODE}/score.log",
    benchmark:
        f"{NODE}/score.benchmark.tsv"
    wildcard_constraints:
        cycle=QUERY_CYCLE,
    conda:
        "../envs/light.yaml"
    params:
        score=lambda wildcards: METHODS[wildcards.branch]["score"],
        options=lambda wildcards: METHODS[wildcards.branch]["score_options"],
        subset=lambda wildcards: METHODS[wildcards.branch]["subset"],
        budget=CONFIG["budget"],
    script:
        "../workflow/scripts/score.py"


rule select:
    input:
        unpack(signal_files(["select"])),
        scores=f"{NODE}/scores.h5",
        stopping=stopped_before("query.h5"),
        code=code("query"),
    output:
        f"{NODE}/query.h5",
    log:
        f"{NODE}/select.log",
    benchmark:
        f"{NODE}/select.benchmark.tsv"
    wildcard_constraints:
        cycle=QUERY_CYCLE,
    conda:
        "../envs/light.yaml"
    params:
        select=lambda wildcards: METHODS[wildcards.branch]["select"],
        options=lambda wildcards: METHODS[wildcards.branch]["select_options"],
        budget=CONFIG["budget"],
    script:
        "../workflow/scripts/query.py"


rule oracle:
    input:
        labeled=lambda wildcards: f"{parent(wildcards)}/labeled.h5",
        query=f"{NODE}/query.h5",
        truth=f"{DATASET}/truth.h5",
        stopping=stopped_before("labeled.h5"),
        code=code("oracle"),
    output:
        f"{NODE}/labeled.h5",
    log:
        f"{NODE}/oracle.log",
    wildcard_constraints:
        cycle=QUERY_CYCLE,
    conda:
        "../envs/light.yaml"
    params:
        oracle=CONFIG["oracle"],
    script:
        "../workflow/scripts/oracle.py"
