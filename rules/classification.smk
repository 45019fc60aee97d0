"""Data, training and evaluation of a classifier: raw files -> images.h5 and the sealed truth.h5, shared by all studies;
labeled.h5 of a node -> model -> metrics; and what the first models know of the pool (informativeness)."""


rule dataset:
    input:
        code=code("dataset"),
    output:
        images=f"{DATASET}/images.h5",
        truth=f"{DATASET}/truth.h5",
    log:
        f"{DATASET}/dataset.log",
    conda:
        "../envs/torch.yaml"
    params:
        dataset=CONFIG["dataset"],
    script:
        "../workflow/scripts/dataset.py"


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


rule informativeness:
    input:
        unpack(first_scores),
        truth=f"{DATASET}/truth.h5",
        code=code("informativeness"),
    output:
        curves=f"{RESULTS}/informativeness.csv",
        dispersion=f"{RESULTS}/dispersion.csv",
    log:
        f"{RESULTS}/informativeness.log",
    conda:
        "../envs/light.yaml"
    params:
        methods=overview(),
    script:
        "../workflow/scripts/informativeness.py"
