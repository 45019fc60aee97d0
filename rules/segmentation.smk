"""Semantic segmentation: a segmenter, what it tells of the pool, and its measures.

Needs images.h5, split.h5, labeled.h5, and the sealed truth.h5 (evaluate; true_pixels, for baselines). Makes model.safetensors,
predictions.h5, pixel_signals.h5, pixel_trajectory.h5, metrics.json; of regions, regions.h5 and, for pictures, queried.h5; true_pixels.h5.
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


rule pixel_signals:
    input:
        unpack(plan.reads("pixel_signals")),
    output:
        **plan.writes("pixel_signals"),
    log:
        plan.log("pixel_signals"),
    conda:
        plan.conda("pixel_signals")
    threads: plan.threads("pixel_signals")
    resources:
        gpu=plan.gpu("pixel_signals"),
        mem_mb=plan.memory("pixel_signals"),
        runtime=plan.runtime("pixel_signals"),
    params:
        settings=plan.settings("pixel_signals"),
        code=plan.code("pixel_signals"),
        command=plan.command("pixel_signals"),
    shell:
        "{params.command}"


rule queried:
    input:
        unpack(plan.reads("queried")),
    output:
        **plan.writes("queried"),
    log:
        plan.log("queried"),
    wildcard_constraints:
        **plan.where("queried"),
    conda:
        plan.conda("queried")
    threads: plan.threads("queried")
    resources:
        gpu=plan.gpu("queried"),
        mem_mb=plan.memory("queried"),
        runtime=plan.runtime("queried"),
    params:
        settings=plan.settings("queried"),
        code=plan.code("queried"),
        command=plan.command("queried"),
    shell:
        "{params.command}"


rule pixel_trajectory:
    input:
        unpack(plan.reads("pixel_trajectory")),
    output:
        **plan.writes("pixel_trajectory"),
    log:
        plan.log("pixel_trajectory"),
    conda:
        plan.conda("pixel_trajectory")
    threads: plan.threads("pixel_trajectory")
    resources:
        gpu=plan.gpu("pixel_trajectory"),
        mem_mb=plan.memory("pixel_trajectory"),
        runtime=plan.runtime("pixel_trajectory"),
    params:
        settings=plan.settings("pixel_trajectory"),
        code=plan.code("pixel_trajectory"),
        command=plan.command("pixel_trajectory"),
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


rule regions:
    input:
        unpack(plan.reads("regions")),
    output:
        **plan.writes("regions"),
    log:
        plan.log("regions"),
    conda:
        plan.conda("regions")
    resources:
        gpu=0,
        mem_mb=plan.memory("regions"),
        runtime=plan.runtime("regions"),
    params:
        settings=plan.settings("regions"),
        code=plan.code("regions"),
        command=plan.command("regions"),
    shell:
        "{params.command}"


rule true_pixels:
    input:
        unpack(plan.reads("true_pixels")),
    output:
        **plan.writes("true_pixels"),
    log:
        plan.log("true_pixels"),
    conda:
        plan.conda("true_pixels")
    resources:
        gpu=0,
        mem_mb=plan.memory("true_pixels"),
        runtime=plan.runtime("true_pixels"),
    params:
        settings=plan.settings("true_pixels"),
        code=plan.code("true_pixels"),
        command=plan.command("true_pixels"),
    shell:
        "{params.command}"
