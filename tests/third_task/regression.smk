"""Regression: labeled.h5 of a node -> predictions.h5, signals.h5, metrics.json."""


rule train:
    input:
        unpack(plan.reads("train")),
    output:
        **plan.writes("train"),
        benchmark=plan.benchmark("train"),
    log:
        plan.log("train"),
    conda:
        plan.conda("train")
    resources:
        gpu=0,
    params:
        settings=plan.settings("train"),
        code=plan.code("train"),
        command=plan.command("train"),
    shell:
        "{params.command}"


rule evaluate:
    input:
        unpack(plan.reads("evaluate")),
    output:
        **plan.writes("evaluate"),
        benchmark=plan.benchmark("evaluate"),
    log:
        plan.log("evaluate"),
    conda:
        plan.conda("evaluate")
    resources:
        gpu=0,
    params:
        settings=plan.settings("evaluate"),
        code=plan.code("evaluate"),
        command=plan.command("evaluate"),
    shell:
        "{params.command}"
