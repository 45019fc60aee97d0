"""Where a person labels: what a classifier says of the whole pool, and how far that can be trusted.

Needs images.h5 or features.h5, split.h5, labeled.h5 and model.safetensors of a node, and told.h5 where there is a validation set.
Makes pool_predictions.h5, cross_validation.h5, predicted_labels.csv.
"""


# a second or less: on a cluster it stays on the head node
localrules:
    predicted_labels,


rule pool_predictions:
    input:
        unpack(plan.reads("pool_predictions")),
    output:
        **plan.writes("pool_predictions"),
    log:
        plan.log("pool_predictions"),
    conda:
        plan.conda("pool_predictions")
    threads: plan.threads("pool_predictions")
    resources:
        gpu=plan.gpu("pool_predictions"),
        mem_mb=plan.memory("pool_predictions"),
        runtime=plan.runtime("pool_predictions"),
    params:
        settings=plan.settings("pool_predictions"),
        code=plan.code("pool_predictions"),
        command=plan.command("pool_predictions"),
    shell:
        "{params.command}"


rule cross_validation:
    input:
        unpack(plan.reads("cross_validation")),
    output:
        **plan.writes("cross_validation"),
    log:
        plan.log("cross_validation"),
    conda:
        plan.conda("cross_validation")
    threads: plan.threads("cross_validation")
    resources:
        gpu=plan.gpu("cross_validation"),
        mem_mb=plan.memory("cross_validation"),
        runtime=plan.runtime("cross_validation"),
    params:
        settings=plan.settings("cross_validation"),
        code=plan.code("cross_validation"),
        command=plan.command("cross_validation"),
    shell:
        "{params.command}"


rule predicted_labels:
    input:
        unpack(plan.reads("predicted_labels")),
    output:
        **plan.writes("predicted_labels"),
    log:
        plan.log("predicted_labels"),
    conda:
        plan.conda("predicted_labels")
    resources:
        gpu=0,
        mem_mb=plan.memory("predicted_labels"),
        runtime=plan.runtime("predicted_labels"),
    params:
        settings=plan.settings("predicted_labels"),
        code=plan.code("predicted_labels"),
        command=plan.command("predicted_labels"),
    shell:
        "{params.command}"
