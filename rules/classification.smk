"""Data, training and evaluation of a classifier: raw files -> images.h5 and the sealed truth.h5, shared by all studies;
labeled.h5 of a node -> model -> metrics; and the analyses after the fact: what models know of the pool, how adversaries and
loss predictions were trained, which classes and images were asked for, and what that cost."""


rule dataset:
    input:
        code=code("dataset"),
    output:
        images=f"{DATASET}/images.h5",
        truth=f"{DATASET}/truth.h5",
    log:
        f"{DATASET}/dataset.log",
    conda:
        "../envs/torch.yaml"
    params:
        dataset=CONFIG["dataset"],
    script:
        "../workflow/scripts/dataset.py"


rule noisy_images:
    input:
        images=f"{DATASET}/images.h5",
        split=f"{SEED}/split.h5",
        code=code("noisy_images"),
    output:
        f"{SEED}/images.h5",
    log:
        f"{SEED}/noisy_images.log",
    conda:
        "../envs/light.yaml"
    params:
        noise=CONFIG["pool"]["noise"],
    script:
        "../workflow/scripts/noisy_images.py"


rule train:
    input:
        seen=seen,
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        pseudo=pseudo_labels,
        parent=parent_model(),
        weights=lambda wildcards: learner(wildcards)["weights"] or [],
        stop_set=f"{SEED}/stop_set.h5" if CONFIG["stopping"]["kappa"] else [],
        stopping=stopped_before("model.safetensors"),
        code=code("train"),
    output:
        **({"stop_predictions": f"{NODE}/stop_predictions.h5"} if CONFIG["stopping"]["kappa"] else {}),
        model=f"{NODE}/model.safetensors",
        history=f"{NODE}/history.h5",
        predictions=f"{NODE}/predictions.h5",
    log:
        f"{NODE}/train.log",
    benchmark:
        f"{NODE}/train.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: threads
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=240,
    params:
        learner=learner,
        trajectory=lambda wildcards: "trajectory" in signals(wildcards),
    script:
        "../workflow/scripts/train.py"


use rule train as train_labeled_only with:
    input:
        seen=seen,
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        parent=parent_model("labeled_only.safetensors"),
        weights=lambda wildcards: learner(wildcards)["weights"] or [],
        stopping=stopped_before("labeled_only.safetensors"),
        code=code("train"),
    output:
        model=f"{NODE}/labeled_only.safetensors",
        history=f"{NODE}/labeled_only_history.h5",
        predictions=f"{NODE}/labeled_only_predictions.h5",
    log:
        f"{NODE}/train_labeled_only.log",
    benchmark:
        f"{NODE}/train_labeled_only.benchmark.tsv"
    params:
        learner=lambda wildcards: learner(wildcards) | {"pseudo_labels": None},
        trajectory=lambda wildcards: learner(wildcards)["pseudo_labels"]["certainty"] == "dispersion",


rule pseudo_labels:
    input:
        seen=seen,
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        teacher=teacher,
        history=labeled_only("_history.h5"),
        stopping=stopped_before("pseudo_labels.h5"),
        code=code("pseudo_labels"),
    output:
        f"{NODE}/pseudo_labels.h5",
    log:
        f"{NODE}/pseudo_labels.log",
    benchmark:
        f"{NODE}/pseudo_labels.benchmark.tsv"
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
        "../workflow/scripts/pseudo_labels.py"


rule evaluate:
    input:
        predictions=f"{NODE}/predictions.h5",
        labeled=f"{NODE}/labeled.h5",
        pseudo=pseudo_labels,
        labeled_only=labeled_only("_predictions.h5"),
        split=f"{SEED}/split.h5",
        truth=f"{DATASET}/truth.h5",
        stopping=stopped_before("metrics.json"),
        code=code("evaluate"),
    output:
        f"{NODE}/metrics.json",
    log:
        f"{NODE}/evaluate.log",
    conda:
        "../envs/light.yaml"
    script:
        "../workflow/scripts/evaluate.py"


rule informativeness:
    input:
        unpack(first_scores),
        truth=f"{DATASET}/truth.h5",
        stops=stops(),
        code=code("informativeness"),
    output:
        curves=f"{RESULTS}/informativeness.csv",
        dispersion=f"{RESULTS}/dispersion.csv",
    log:
        f"{RESULTS}/informativeness.log",
    conda:
        "../envs/light.yaml"
    params:
        methods=overview(),
    script:
        "../workflow/scripts/informativeness.py"


rule decision_boundary:
    input:
        unpack(last_queries),
        images=IMAGES.format(seed=SEEDS[0]),
        split=f"{SEED}/split.h5".format(seed=SEEDS[0]),
        stops=stops(),
        code=code("decision_boundary"),
    output:
        f"{RESULTS}/decision_boundary.csv",
    log:
        f"{RESULTS}/decision_boundary.log",
    conda:
        "../envs/torch.yaml"
    params:
        methods=list(METHODS),
    script:
        "../workflow/scripts/decision_boundary.py"


rule adversary_tables:
    input:
        unpack(adversary_files),
        truth=f"{DATASET}/truth.h5",
        stops=stops(),
        code=code("adversary_tables"),
    output:
        losses=f"{RESULTS}/adversary_losses.csv",
        discriminator=f"{RESULTS}/discriminator.csv",
    log:
        f"{RESULTS}/adversary_tables.log",
    conda:
        "../envs/light.yaml"
    params:
        queries=adversary_queries(),
        last=last_adversaries(),
    script:
        "../workflow/scripts/adversary_tables.py"


rule pseudo_label_table:
    input:
        nodes=[
            f"{node(seed, branch_of(method, cycle), cycle)}/metrics.json"
            for method, seed, cycle in pseudo_labeled_nodes()
        ],
        stops=stops(),
        code=code("pseudo_label_table"),
    output:
        report(
            f"{RESULTS}/pseudo_labels.csv",
            caption="../workflow/report/pseudo_label_table.rst",
            category="Tables",
            labels={"table": "pseudo-labels and their errors"},
        ),
    log:
        f"{RESULTS}/pseudo_labels.log",
    conda:
        "../envs/light.yaml"
    params:
        nodes=pseudo_labeled_nodes(),
        methods=overview(),
    script:
        "../workflow/scripts/pseudo_label_table.py"


rule prediction_loss:
    input:
        histories=[f"{folder}/history.h5" for _, folder in predicting_nodes()],
        stops=stops(),
        code=code("prediction_loss"),
    output:
        f"{RESULTS}/prediction_loss.csv",
    log:
        f"{RESULTS}/prediction_loss.log",
    conda:
        "../envs/light.yaml"
    params:
        learners=[(name, CONFIG["learners"][name]) for name, _ in predicting_nodes()],
    script:
        "../workflow/scripts/prediction_loss.py"


rule class_entropy:
    input:
        labeled=[f"{node(seed, method, CYCLES[-1])}/labeled.h5" for method in METHODS for seed in SEEDS],
        truth=f"{DATASET}/truth.h5",
        stops=stops(),
        code=code("class_entropy"),
    output:
        f"{RESULTS}/class_entropy.csv",
    log:
        f"{RESULTS}/class_entropy.log",
    conda:
        "../envs/light.yaml"
    params:
        methods=overview(),
    script:
        "../workflow/scripts/class_entropy.py"


rule selection_costs:
    input:
        costs=f"{RESULTS}/costs.csv",
        splits=expand(f"{SEED}/split.h5", seed=SEEDS),
        code=code("selection_costs"),
    output:
        report(
            f"{RESULTS}/selection_costs.csv",
            caption="../workflow/report/selection_costs.rst",
            category="Tables",
            labels={"table": "time and memory per 1,000 pool samples"},
        ),
    log:
        f"{RESULTS}/selection_costs.log",
    conda:
        "../envs/light.yaml"
    params:
        jobs={method: query_jobs(method) for method in METHODS},
        learners={method: METHODS[method]["learner"] for method in METHODS},
        budget=CONFIG["budget"],
        cycles=CONFIG["cycles"],
    script:
        "../workflow/scripts/selection_costs.py"


rule selected_images:
    input:
        images=IMAGES.format(seed=SEEDS[0]),
        truth=f"{DATASET}/truth.h5",
        queries=[f"{node(SEEDS[0], method, 1)}/query.h5" for method in METHODS],
        stops=stops(),
        code=code("selected_images"),
    output:
        report(
            f"{RESULTS}/figures/selected.png",
            caption="../workflow/report/selected_images.rst",
            category="Analysis",
            labels={"figure": "images asked for first"},
        ),
    log:
        f"{RESULTS}/figures/selected.log",
    conda:
        "../envs/torch.yaml"
    script:
        "../workflow/scripts/selected_images.py"
