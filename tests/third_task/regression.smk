"""Regression: labeled.h5 of a node -> predictions.h5, signals.h5, metrics.json."""


rule train:
    input:
        unpack(plan.reads("train")),
    output:
        **plan.writes("train"),
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


rule signals:
    input:
        unpack(plan.reads("signals")),
    output:
        **plan.writes("signals"),
    log:
        plan.log("signals"),
    conda:
        plan.conda("signals")
    resources:
        gpu=0,
    params:
        settings=plan.settings("signals"),
        code=plan.code("signals"),
        command=plan.command("signals"),
    shell:
        "{params.command}"
