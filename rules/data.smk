"""The data set, the split and the first labels of each seed, and the labels of supervised baselines.

Needs the raw data. Makes results/datasets/<name>/images.h5 and the sealed truth.h5, shared by all studies; split.h5 of each seed;
labeled.h5 of the starts and of the baselines.
"""


# a second or less each: on a cluster they stay on the head node
localrules:
    initial,
    supervised,


rule dataset:
    input:
        unpack(plan.reads("dataset")),
    output:
        **plan.writes("dataset"),
    log:
        plan.log("dataset"),
    conda:
        plan.conda("dataset")
    threads: plan.threads("dataset")
    resources:
        gpu=0,
        mem_mb=plan.memory("dataset"),
        runtime=plan.runtime("dataset"),
    params:
        settings=plan.settings("dataset"),
        code=plan.code("dataset"),
        command=plan.command("dataset"),
    shell:
        "{params.command}"


rule split:
    input:
        unpack(plan.reads("split")),
    output:
        **plan.writes("split"),
    log:
        plan.log("split"),
    conda:
        plan.conda("split")
    resources:
        gpu=0,
        mem_mb=plan.memory("split"),
        runtime=plan.runtime("split"),
    params:
        settings=plan.settings("split"),
        code=plan.code("split"),
        command=plan.command("split"),
    shell:
        "{params.command}"


rule supervised:
    input:
        unpack(plan.reads("supervised")),
    output:
        **plan.writes("supervised"),
    log:
        plan.log("supervised"),
    conda:
        plan.conda("supervised")
    resources:
        gpu=0,
        mem_mb=plan.memory("supervised"),
        runtime=plan.runtime("supervised"),
    params:
        settings=plan.settings("supervised"),
        code=plan.code("supervised"),
        command=plan.command("supervised"),
    shell:
        "{params.command}"


rule initial:
    input:
        unpack(plan.reads("initial")),
    output:
        **plan.writes("initial"),
    log:
        plan.log("initial"),
    conda:
        plan.conda("initial")
    resources:
        gpu=0,
        mem_mb=plan.memory("initial"),
        runtime=plan.runtime("initial"),
    params:
        settings=plan.settings("initial"),
        code=plan.code("initial"),
        command=plan.command("initial"),
    shell:
        "{params.command}"
