"""Backbones: pre-training without labels, embeddings learnt on a labeled source, and images -> features.h5.

Needs images.h5 (and the raw data of the source). Makes backbone.safetensors and features.h5: once for each seed (`per_seed: false`: for
all seeds), for all studies that see the same images, and once more at each node that trains its backbone further.
"""


rule pretrain:
    input:
        unpack(plan.reads("pretrain")),
    output:
        **plan.writes("pretrain"),
    log:
        plan.log("pretrain"),
    wildcard_constraints:
        **plan.where("pretrain"),
    conda:
        plan.conda("pretrain")
    threads: plan.threads("pretrain")
    resources:
        gpu=plan.gpu("pretrain"),
        mem_mb=plan.memory("pretrain"),
        runtime=plan.runtime("pretrain"),
    params:
        settings=plan.settings("pretrain"),
        code=plan.code("pretrain"),
        command=plan.command("pretrain"),
    shell:
        "{params.command}"


rule features:
    input:
        unpack(plan.reads("features")),
    output:
        **plan.writes("features"),
    log:
        plan.log("features"),
    conda:
        plan.conda("features")
    threads: plan.threads("features")
    resources:
        gpu=plan.gpu("features"),
        mem_mb=plan.memory("features"),
        runtime=plan.runtime("features"),
    params:
        settings=plan.settings("features"),
        code=plan.code("features"),
        command=plan.command("features"),
    shell:
        "{params.command}"


rule source_dataset:
    input:
        unpack(plan.reads("source_dataset")),
    output:
        **plan.writes("source_dataset"),
    log:
        plan.log("source_dataset"),
    wildcard_constraints:
        **plan.where("source_dataset"),
    conda:
        plan.conda("source_dataset")
    resources:
        gpu=0,
        mem_mb=plan.memory("source_dataset"),
        runtime=plan.runtime("source_dataset"),
    params:
        settings=plan.settings("source_dataset"),
        code=plan.code("source_dataset"),
        command=plan.command("source_dataset"),
    shell:
        "{params.command}"


rule embedding:
    input:
        unpack(plan.reads("embedding")),
    output:
        **plan.writes("embedding"),
    log:
        plan.log("embedding"),
    wildcard_constraints:
        **plan.where("embedding"),
    conda:
        plan.conda("embedding")
    threads: plan.threads("embedding")
    resources:
        gpu=plan.gpu("embedding"),
        mem_mb=plan.memory("embedding"),
        runtime=plan.runtime("embedding"),
    params:
        settings=plan.settings("embedding"),
        code=plan.code("embedding"),
        command=plan.command("embedding"),
    shell:
        "{params.command}"


rule finetune:
    input:
        unpack(plan.reads("finetune")),
    output:
        **plan.writes("finetune"),
    log:
        plan.log("finetune"),
    conda:
        plan.conda("finetune")
    threads: plan.threads("finetune")
    resources:
        gpu=plan.gpu("finetune"),
        mem_mb=plan.memory("finetune"),
        runtime=plan.runtime("finetune"),
    params:
        settings=plan.settings("finetune"),
        code=plan.code("finetune"),
        command=plan.command("finetune"),
    shell:
        "{params.command}"
