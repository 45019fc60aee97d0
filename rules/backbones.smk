"""Backbones: images -> features.h5, once for all studies and seeds that see the same images."""


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
    threads: lambda wildcards: CONFIG["backbones"][wildcards.backbone]["threads"]
    resources:
        gpu=lambda wildcards: 0 if CONFIG["backbones"][wildcards.backbone]["device"] == "cpu" else 1,
        mem_mb=8000,
        runtime=240,
    params:
        backbone=backbone,
    script:
        "../workflow/scripts/features.py"
