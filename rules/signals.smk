"""Signals of a model over its unlabeled pool: signals.h5 in one pass; the others where a method of the study reads them.

Needs the node's model.safetensors and labeled.h5. Makes signals.h5, trajectory.h5, draws.h5, ensemble.h5, ensemble_dropout.h5,
noise.h5, head.h5 and boundary.h5. With `signals.shards` several jobs
make signals_shard<k>.h5, which are put together and deleted.
"""


rule signals_shard:
    input:
        unpack(plan.reads("signals_shard")),
    output:
        signals=temp(plan.writes("signals_shard")["signals"]),
        benchmark=plan.writes("signals_shard")["benchmark"],
    log:
        plan.log("signals_shard"),
    wildcard_constraints:
        **plan.where("signals_shard"),
    conda:
        plan.conda("signals_shard")
    threads: plan.threads("signals_shard")
    resources:
        gpu=plan.gpu("signals_shard"),
        mem_mb=plan.memory("signals_shard"),
        runtime=plan.runtime("signals_shard"),
    params:
        settings=plan.settings("signals_shard"),
        code=plan.code("signals_shard"),
        command=plan.command("signals_shard"),
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


rule trajectory:
    input:
        unpack(plan.reads("trajectory")),
    output:
        **plan.writes("trajectory"),
    log:
        plan.log("trajectory"),
    conda:
        plan.conda("trajectory")
    threads: plan.threads("trajectory")
    resources:
        gpu=plan.gpu("trajectory"),
        mem_mb=plan.memory("trajectory"),
        runtime=plan.runtime("trajectory"),
    params:
        settings=plan.settings("trajectory"),
        code=plan.code("trajectory"),
        command=plan.command("trajectory"),
    shell:
        "{params.command}"


rule draws:
    input:
        unpack(plan.reads("draws")),
    output:
        **plan.writes("draws"),
    log:
        plan.log("draws"),
    conda:
        plan.conda("draws")
    threads: plan.threads("draws")
    resources:
        gpu=plan.gpu("draws"),
        mem_mb=plan.memory("draws"),
        runtime=plan.runtime("draws"),
    params:
        settings=plan.settings("draws"),
        code=plan.code("draws"),
        command=plan.command("draws"),
    shell:
        "{params.command}"


rule member:
    input:
        unpack(plan.reads("member")),
    output:
        **plan.writes("member"),
    log:
        plan.log("member"),
    conda:
        plan.conda("member")
    threads: plan.threads("member")
    resources:
        gpu=plan.gpu("member"),
        mem_mb=plan.memory("member"),
        runtime=plan.runtime("member"),
    params:
        settings=plan.settings("member"),
        code=plan.code("member"),
        command=plan.command("member"),
    shell:
        "{params.command}"


rule ensemble:
    input:
        unpack(plan.reads("ensemble")),
    output:
        **plan.writes("ensemble"),
    log:
        plan.log("ensemble"),
    conda:
        plan.conda("ensemble")
    threads: plan.threads("ensemble")
    resources:
        gpu=plan.gpu("ensemble"),
        mem_mb=plan.memory("ensemble"),
        runtime=plan.runtime("ensemble"),
    params:
        settings=plan.settings("ensemble"),
        code=plan.code("ensemble"),
        command=plan.command("ensemble"),
    shell:
        "{params.command}"


rule ensemble_dropout:
    input:
        unpack(plan.reads("ensemble_dropout")),
    output:
        **plan.writes("ensemble_dropout"),
    log:
        plan.log("ensemble_dropout"),
    conda:
        plan.conda("ensemble_dropout")
    threads: plan.threads("ensemble_dropout")
    resources:
        gpu=plan.gpu("ensemble_dropout"),
        mem_mb=plan.memory("ensemble_dropout"),
        runtime=plan.runtime("ensemble_dropout"),
    params:
        settings=plan.settings("ensemble_dropout"),
        code=plan.code("ensemble_dropout"),
        command=plan.command("ensemble_dropout"),
    shell:
        "{params.command}"


rule head:
    input:
        unpack(plan.reads("head")),
    output:
        **plan.writes("head"),
    log:
        plan.log("head"),
    conda:
        plan.conda("head")
    threads: plan.threads("head")
    resources:
        gpu=plan.gpu("head"),
        mem_mb=plan.memory("head"),
        runtime=plan.runtime("head"),
    params:
        settings=plan.settings("head"),
        code=plan.code("head"),
        command=plan.command("head"),
    shell:
        "{params.command}"


rule noise:
    input:
        unpack(plan.reads("noise")),
    output:
        **plan.writes("noise"),
    log:
        plan.log("noise"),
    conda:
        plan.conda("noise")
    threads: plan.threads("noise")
    resources:
        gpu=plan.gpu("noise"),
        mem_mb=plan.memory("noise"),
        runtime=plan.runtime("noise"),
    params:
        settings=plan.settings("noise"),
        code=plan.code("noise"),
        command=plan.command("noise"),
    shell:
        "{params.command}"


rule boundary:
    input:
        unpack(plan.reads("boundary")),
    output:
        **plan.writes("boundary"),
    log:
        plan.log("boundary"),
    conda:
        plan.conda("boundary")
    threads: plan.threads("boundary")
    resources:
        gpu=plan.gpu("boundary"),
        mem_mb=plan.memory("boundary"),
        runtime=plan.runtime("boundary"),
    params:
        settings=plan.settings("boundary"),
        code=plan.code("boundary"),
        command=plan.command("boundary"),
    shell:
        "{params.command}"
