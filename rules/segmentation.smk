"""Semantic segmentation: a segmenter, what it tells of the pool, and its measures.

Needs images.h5, split.h5, labeled.h5, and the sealed truth.h5 (evaluate). Makes model.safetensors, predictions.h5, signals.h5,
metrics.json.
"""


rule train:
    input:
        unpack(plan.reads("train")),
    output:
        **plan.writes("train"),
    log:
        plan.log("train"),
    conda:
        plan.conda("train")
    threads: plan.threads("train")
    resources:
        gpu=plan.gpu("train"),
        mem_mb=plan.memory("train"),
        runtime=plan.runtime("train"),
    params:
        settings=plan.settings("train"),
        code=plan.code("train"),
        command=plan.command("train"),
    shell:
        "{params.command}"


rule signals:
    input:
        unpack(plan.reads("signals")),
    output:
        **plan.writes("signals"),
    log:
        plan.log("signals"),
    conda:
        plan.conda("signals")
    threads: plan.threads("signals")
    resources:
        gpu=plan.gpu("signals"),
        mem_mb=plan.memory("signals"),
        runtime=plan.runtime("signals"),
    params:
        settings=plan.settings("signals"),
        code=plan.code("signals"),
        command=plan.command("signals"),
    shell:
        "{params.command}"


rule evaluate:
    input:
        unpack(plan.reads("evaluate")),
    output:
        **plan.writes("evaluate"),
    log:
        plan.log("evaluate"),
    conda:
        plan.conda("evaluate")
    resources:
        gpu=0,
        mem_mb=plan.memory("evaluate"),
        runtime=plan.runtime("evaluate"),
    params:
        settings=plan.settings("evaluate"),
        code=plan.code("evaluate"),
        command=plan.command("evaluate"),
    shell:
        "{params.command}"
