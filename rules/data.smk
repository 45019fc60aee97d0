"""The split and the first labels of each seed, and the labels of supervised baselines. Needs images.h5 and truth.h5 (classification.smk, video.smk)."""


rule split:
    input:
        images=f"{DATASET}/images.h5",
        truth=f"{DATASET}/truth.h5",
        kcenter=kcenter_code,
        latents=initial_latents,
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


rule supervised:
    input:
        split=f"{SEED}/split.h5",
        truth=f"{DATASET}/truth.h5",
        code=code("supervised"),
    output:
        f"{SEED}/supervised{{size}}-{{learner}}/cycle0/labeled.h5",
    log:
        f"{SEED}/supervised{{size}}-{{learner}}/cycle0/supervised.log",
    conda:
        "../envs/light.yaml"
    params:
        oracle=CONFIG["oracle"],
    script:
        "../workflow/scripts/supervised.py"


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
    params:
        oracle=CONFIG["oracle"],
    script:
        "../workflow/scripts/initial.py"
