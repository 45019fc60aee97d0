"""Data: raw files -> images.h5 and the sealed truth.h5 (shared by all studies); the split and first labels of each seed."""


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


rule split:
    input:
        images=f"{DATASET}/images.h5",
        truth=f"{DATASET}/truth.h5",
        kcenter=kcenter_code,
        code=code("split"),
    output:
        f"{SEED}/split.h5",
    log:
        f"{SEED}/split.log",
    conda:
        "../envs/light.yaml"
    params:
        pool=CONFIG["pool"],
    script:
        "../workflow/scripts/split.py"


rule initial:
    input:
        split=f"{SEED}/split.h5",
        truth=f"{DATASET}/truth.h5",
        code=code("initial"),
    output:
        f"{START}/labeled.h5",
    log:
        f"{START}/initial.log",
    conda:
        "../envs/light.yaml"
    script:
        "../workflow/scripts/initial.py"
