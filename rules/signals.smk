"""Signals of a model over its unlabeled pool: signals.h5 in one pass; draws, ensembles and boundary distances where a
method reads them. Needs the node's model and labeled.h5."""


rule signals:
    input:
        seen=seen,
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        model=f"{NODE}/model.safetensors",
        history=f"{NODE}/history.h5",
        stopping=stopped_at("signals.h5"),
        code=code("signals"),
    output:
        f"{NODE}/signals.h5",
    log:
        f"{NODE}/signals.log",
    benchmark:
        f"{NODE}/signals.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: threads
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=60,
    params:
        signals=signals,
        learner=learner,
        batch_size=CONFIG["signals"]["batch_size"],
    script:
        "../workflow/scripts/signals.py"


rule draws:
    input:
        seen=seen,
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        model=f"{NODE}/model.safetensors",
        stopping=stopped_at("draws.h5"),
        code=code("draws"),
    output:
        f"{NODE}/draws.h5",
    log:
        f"{NODE}/draws.log",
    benchmark:
        f"{NODE}/draws.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: threads
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=60,
    params:
        draws=CONFIG["signals"]["draws"],
        learner=learner,
        batch_size=CONFIG["signals"]["batch_size"],
    script:
        "../workflow/scripts/draws.py"


rule member:
    input:
        seen=seen,
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        pseudo=pseudo_labels,
        parent=parent_model("member{member}.safetensors"),
        weights=lambda wildcards: learner(wildcards)["weights"] or [],
        stopping=stopped_at("member{member}.safetensors"),
        code=code("member"),
    output:
        f"{NODE}/member{{member}}.safetensors",
    log:
        f"{NODE}/member{{member}}.log",
    benchmark:
        f"{NODE}/member{{member}}.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: threads
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=240,
    params:
        learner=learner,
    script:
        "../workflow/scripts/member.py"


rule ensemble:
    input:
        seen=seen,
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        models=[
            f"{NODE}/model.safetensors",
            *(f"{NODE}/member{k}.safetensors" for k in range(1, CONFIG["signals"]["members"])),
        ],
        stopping=stopped_at("ensemble.h5"),
        code=code("ensemble"),
    output:
        f"{NODE}/ensemble.h5",
    log:
        f"{NODE}/ensemble.log",
    benchmark:
        f"{NODE}/ensemble.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: threads
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=60,
    params:
        learner=learner,
        batch_size=CONFIG["signals"]["batch_size"],
    script:
        "../workflow/scripts/ensemble.py"


rule boundary:
    input:
        seen=seen,
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        model=f"{NODE}/model.safetensors",
        stopping=stopped_at("boundary.h5"),
        code=code("boundary"),
    output:
        f"{NODE}/boundary.h5",
    log:
        f"{NODE}/boundary.log",
    benchmark:
        f"{NODE}/boundary.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: threads
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=60,
    params:
        learner=learner,
        batch_size=CONFIG["signals"]["batch_size"],
    script:
        "../workflow/scripts/boundary.py"


rule adversary:
    input:
        seen=seen,
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        signals=adversary_signals,
        stopping=stopped_at("adversary_{adversary}.h5"),
        code=code("adversary"),
    output:
        f"{NODE}/adversary_{{adversary}}.h5",
    log:
        f"{NODE}/adversary_{{adversary}}.log",
    benchmark:
        f"{NODE}/adversary_{{adversary}}.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: threads
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=240,
    params:
        adversary=lambda wildcards: CONFIG["adversaries"][wildcards.adversary],
        threads=threads,
    script:
        "../workflow/scripts/adversary.py"


rule latents:
    input:
        images=f"{DATASET}/images.h5",
        code=code("latents"),
    output:
        f"{SEED}/latents.h5",
    log:
        f"{SEED}/latents.log",
    benchmark:
        f"{SEED}/latents.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        adversary=CONFIG["adversaries"]["vaal"],
    script:
        "../workflow/scripts/latents.py"
