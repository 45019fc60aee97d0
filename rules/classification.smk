"""A classifier: labeled.h5 of a node (and pseudo-labels where there are some) -> model -> predictions -> metrics.

Needs images.h5 or features.h5, split.h5, labeled.h5, and the sealed truth.h5 (evaluate).
Makes model.safetensors, history.h5, predictions.h5, pseudo_labels.h5, metrics.json.
"""


# a second or less each: on a cluster they stay on the head node
localrules:
    evaluate,


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


rule repeat:
    input:
        unpack(plan.reads("repeat")),
    output:
        **plan.writes("repeat"),
    log:
        plan.log("repeat"),
    wildcard_constraints:
        **plan.where("repeat"),
    conda:
        plan.conda("repeat")
    threads: plan.threads("repeat")
    resources:
        gpu=plan.gpu("repeat"),
        mem_mb=plan.memory("repeat"),
        runtime=plan.runtime("repeat"),
    params:
        settings=plan.settings("repeat"),
        code=plan.code("repeat"),
        command=plan.command("repeat"),
    shell:
        "{params.command}"


rule train_labeled_only:
    input:
        unpack(plan.reads("train_labeled_only")),
    output:
        **plan.writes("train_labeled_only"),
    log:
        plan.log("train_labeled_only"),
    conda:
        plan.conda("train_labeled_only")
    threads: plan.threads("train_labeled_only")
    resources:
        gpu=plan.gpu("train_labeled_only"),
        mem_mb=plan.memory("train_labeled_only"),
        runtime=plan.runtime("train_labeled_only"),
    params:
        settings=plan.settings("train_labeled_only"),
        code=plan.code("train_labeled_only"),
        command=plan.command("train_labeled_only"),
    shell:
        "{params.command}"


rule pseudo_labels:
    input:
        unpack(plan.reads("pseudo_labels")),
    output:
        **plan.writes("pseudo_labels"),
    log:
        plan.log("pseudo_labels"),
    conda:
        plan.conda("pseudo_labels")
    threads: plan.threads("pseudo_labels")
    resources:
        gpu=plan.gpu("pseudo_labels"),
        mem_mb=plan.memory("pseudo_labels"),
        runtime=plan.runtime("pseudo_labels"),
    params:
        settings=plan.settings("pseudo_labels"),
        code=plan.code("pseudo_labels"),
        command=plan.command("pseudo_labels"),
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
