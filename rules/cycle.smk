"""One cycle: train -> signals -> score -> select -> oracle -> next cycle, and evaluate.

Needs images.h5, split.h5 and the labeled.h5 of the node; a node of cycle c >= 1 grows from the signals of its parent
(signals.smk).
"""


rule train:
    input:
        images=f"{DATASET}/images.h5",
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        weights=lambda wildcards: learner(wildcards)["weights"] or [],
        code=code("train"),
    output:
        model=f"{NODE}/model.safetensors",
        history=f"{NODE}/history.h5",
        predictions=f"{NODE}/predictions.h5",
    log:
        f"{NODE}/train.log",
    benchmark:
        f"{NODE}/train.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: threads
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=240,
    params:
        learner=learner,
        trajectory=lambda wildcards: "trajectory" in signals(wildcards),
    script:
        "../workflow/scripts/train.py"


rule score:
    input:
        unpack(signal_files(["score"])),
        split=f"{SEED}/split.h5",
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
        code=code("oracle"),
    output:
        f"{NODE}/labeled.h5",
    log:
        f"{NODE}/oracle.log",
    wildcard_constraints:
        cycle=QUERY_CYCLE,
    conda:
        "../envs/light.yaml"
    script:
        "../workflow/scripts/oracle.py"


rule evaluate:
    input:
        predictions=f"{NODE}/predictions.h5",
        labeled=f"{NODE}/labeled.h5",
        split=f"{SEED}/split.h5",
        truth=f"{DATASET}/truth.h5",
        code=code("evaluate"),
    output:
        f"{NODE}/metrics.json",
    log:
        f"{NODE}/evaluate.log",
    conda:
        "../envs/light.yaml"
    script:
        "../workflow/scripts/evaluate.py"
