"""Embeddings learnt with labels: those of a source data set, which are not hidden, and then those that a study has asked for.

Needs the raw data of the source; makes the backbones of kinds triplet and cross_entropy, and the features of fine-tuned ones.
"""


use rule dataset as source_dataset with:
    output:
        images=f"{SOURCE}/images.h5",
        truth=f"{SOURCE}/truth.h5",
    log:
        f"{SOURCE}/dataset.log",
    wildcard_constraints:
        source="|".join(SOURCES) or NOTHING,
    params:
        dataset=lambda wildcards: SOURCES[wildcards.source],


rule embedding:
    input:
        images=source_file("images"),
        truth=source_file("truth"),
        weights=lambda wildcards: CONFIG["backbones"][wildcards.backbone]["weights"] or [],
        code=code("embedding"),
    output:
        f"{BACKBONE}/backbone.safetensors",
    log:
        f"{BACKBONE}/embedding.log",
    benchmark:
        f"{BACKBONE}/embedding.benchmark.tsv"
    wildcard_constraints:
        backbone="|".join(EMBEDDINGS) or NOTHING,
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
        "../workflow/scripts/embedding.py"


rule finetune:
    input:
        images=IMAGES,
        labeled=f"{NODE}/labeled.h5",
        backbone=lambda wildcards: f"{newest_backbone(wildcards, int(wildcards.cycle) - 1)}/backbone.safetensors",
        stopping=stopped_before("features.h5"),
        code=code("finetune"),
    output:
        backbone=f"{NODE}/backbone.safetensors",
        features=f"{NODE}/features.h5",
    log:
        f"{NODE}/finetune.log",
    benchmark:
        f"{NODE}/finetune.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: threads
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=240,
    params:
        backbone=backbone_to_finetune,
    script:
        "../workflow/scripts/finetune.py"
