"""Detection in videos: a detector, its detections in all frames, and the signals of these.

Needs images.h5, split.h5, labeled.h5, the optical flow, and the sealed truth.h5 (errors, evaluate).
Makes model.safetensors, predictions.h5, metrics.json, detections.h5, siamfc.safetensors, tracks_*.h5,
coherence_*.h5, errors.h5.
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


rule detections:
    input:
        unpack(plan.reads("detections")),
    output:
        **plan.writes("detections"),
    log:
        plan.log("detections"),
    conda:
        plan.conda("detections")
    threads: plan.threads("detections")
    resources:
        gpu=plan.gpu("detections"),
        mem_mb=plan.memory("detections"),
        runtime=plan.runtime("detections"),
    params:
        settings=plan.settings("detections"),
        code=plan.code("detections"),
        command=plan.command("detections"),
    shell:
        "{params.command}"


rule flow_tracks:
    input:
        unpack(plan.reads("flow_tracks")),
    output:
        **plan.writes("flow_tracks"),
    log:
        plan.log("flow_tracks"),
    wildcard_constraints:
        **plan.where("flow_tracks"),
    conda:
        plan.conda("flow_tracks")
    resources:
        gpu=0,
        mem_mb=plan.memory("flow_tracks"),
        runtime=plan.runtime("flow_tracks"),
    params:
        settings=plan.settings("flow_tracks"),
        code=plan.code("flow_tracks"),
        command=plan.command("flow_tracks"),
    shell:
        "{params.command}"


rule feature_correlation_tracks:
    input:
        unpack(plan.reads("feature_correlation_tracks")),
    output:
        **plan.writes("feature_correlation_tracks"),
    log:
        plan.log("feature_correlation_tracks"),
    conda:
        plan.conda("feature_correlation_tracks")
    threads: plan.threads("feature_correlation_tracks")
    resources:
        gpu=plan.gpu("feature_correlation_tracks"),
        mem_mb=plan.memory("feature_correlation_tracks"),
        runtime=plan.runtime("feature_correlation_tracks"),
    params:
        settings=plan.settings("feature_correlation_tracks"),
        code=plan.code("feature_correlation_tracks"),
        command=plan.command("feature_correlation_tracks"),
    shell:
        "{params.command}"


rule siamfc_labeled:
    input:
        unpack(plan.reads("siamfc_labeled")),
    output:
        **plan.writes("siamfc_labeled"),
    log:
        plan.log("siamfc_labeled"),
    conda:
        plan.conda("siamfc_labeled")
    threads: plan.threads("siamfc_labeled")
    resources:
        gpu=plan.gpu("siamfc_labeled"),
        mem_mb=plan.memory("siamfc_labeled"),
        runtime=plan.runtime("siamfc_labeled"),
    params:
        settings=plan.settings("siamfc_labeled"),
        code=plan.code("siamfc_labeled"),
        command=plan.command("siamfc_labeled"),
    shell:
        "{params.command}"


rule siamfc_tracks:
    input:
        unpack(plan.reads("siamfc_tracks")),
    output:
        **plan.writes("siamfc_tracks"),
    log:
        plan.log("siamfc_tracks"),
    conda:
        plan.conda("siamfc_tracks")
    threads: plan.threads("siamfc_tracks")
    resources:
        gpu=plan.gpu("siamfc_tracks"),
        mem_mb=plan.memory("siamfc_tracks"),
        runtime=plan.runtime("siamfc_tracks"),
    params:
        settings=plan.settings("siamfc_tracks"),
        code=plan.code("siamfc_tracks"),
        command=plan.command("siamfc_tracks"),
    shell:
        "{params.command}"


rule coherence:
    input:
        unpack(plan.reads("coherence")),
    output:
        **plan.writes("coherence"),
    log:
        plan.log("coherence"),
    conda:
        plan.conda("coherence")
    resources:
        gpu=0,
        mem_mb=plan.memory("coherence"),
        runtime=plan.runtime("coherence"),
    params:
        settings=plan.settings("coherence"),
        code=plan.code("coherence"),
        command=plan.command("coherence"),
    shell:
        "{params.command}"


rule errors:
    input:
        unpack(plan.reads("errors")),
    output:
        **plan.writes("errors"),
    log:
        plan.log("errors"),
    conda:
        plan.conda("errors")
    resources:
        gpu=0,
        mem_mb=plan.memory("errors"),
        runtime=plan.runtime("errors"),
    params:
        settings=plan.settings("errors"),
        code=plan.code("errors"),
        command=plan.command("errors"),
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
