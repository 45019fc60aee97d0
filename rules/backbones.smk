"""Backbones: pre-training without labels, and images -> features.h5, once for all studies and seeds that see the same images."""


rule pretrain:
    input:
        images=IMAGES,
        code=code("pretrain"),
    output:
        backbone=f"{BACKBONE}/backbone.safetensors",
        pretraining=f"{BACKBONE}/pretraining.h5",
    log:
        f"{BACKBONE}/pretrain.log",
    benchmark:
        f"{BACKBONE}/pretrain.benchmark.tsv"
    wildcard_constraints:
        backbone="|".join(SIMSIAM) or NOTHING,
    conda:
        "../envs/torch.yaml"
    threads: backbone_threads
    resources:
        gpu=backbone_gpus,
        mem_mb=8000,
        runtime=2880,
    params:
        backbone=backbone,
    script:
        "../workflow/scripts/pretrain.py"


rule features:
    input:
        images=IMAGES,
        backbone=backbone_weights,
        code=code("features"),
    output:
        f"{BACKBONE}/features.h5",
    log:
        f"{BACKBONE}/features.log",
    benchmark:
        f"{BACKBONE}/features.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: backbone_threads
    resources:
        gpu=backbone_gpus,
        mem_mb=8000,
        runtime=240,
    params:
        backbone=backbone,
    script:
        "../workflow/scripts/features.py"


rule knn:
    input:
        pretrainings=[f"{BACKBONE}/pretraining.h5".format(backbone=name, seed=SEEDS[0]) for name in SIMSIAM],
        truth=f"{DATASET}/truth.h5",
        code=code("knn"),
    output:
        f"{RESULTS}/knn.csv",
    log:
        f"{RESULTS}/knn.log",
    conda:
        "../envs/light.yaml"
    params:
        backbones=SIMSIAM,
    script:
        "../workflow/scripts/knn.py"


rule break_even:
    input:
        metrics=f"{RESULTS}/metrics.csv",
        classes=f"{RESULTS}/classes.csv",
        code=code("break_even"),
    output:
        f"{RESULTS}/break_even.csv",
    log:
        f"{RESULTS}/break_even.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/break_even.py"
