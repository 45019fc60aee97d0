"""Detection in videos: training and evaluation of a detector, and the signals of its detections: temporal coherence and true errors.

Needs images.h5, truth.h5 and the optical flow (video.smk), split.h5 and the labeled.h5 of the node.
"""


rule train:
    input:
        images=f"{DATASET}/images.h5",
        split=f"{SEED}/split.h5",
        labeled=f"{NODE}/labeled.h5",
        parent=parent_model(),
        weights=lambda wildcards: learner(wildcards)["weights"] or [],
        code=code("train_detector"),
    output:
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
        mem_mb=16000,
        runtime=600,
    params:
        learner=learner,
    script:
        "../workflow/scripts/train_detector.py"


rule detections:
    input:
        images=f"{DATASET}/images.h5",
        split=f"{SEED}/split.h5",
        model=f"{NODE}/model.safetensors",
        code=code("detect"),
    output:
        f"{NODE}/detections.h5",
    log:
        f"{NODE}/detections.log",
    benchmark:
        f"{NODE}/detections.benchmark.tsv"
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
        "../workflow/scripts/detect.py"


rule flow_tracks:
    input:
        images=f"{DATASET}/images.h5",
        detections=f"{NODE}/detections.h5",
        flow=flow_files,
        code=code("flow_tracks"),
    output:
        f"{NODE}/tracks_{{tracker}}.h5",
    log:
        f"{NODE}/tracks_{{tracker}}.log",
    benchmark:
        f"{NODE}/tracks_{{tracker}}.benchmark.tsv"
    wildcard_constraints:
        tracker="flow|true_flow",
    conda:
        "../envs/light.yaml"
    script:
        "../workflow/scripts/flow_tracks.py"


rule siamfc_tracks:
    input:
        images=f"{DATASET}/images.h5",
        detections=f"{NODE}/detections.h5",
        model=f"{NODE}/model.safetensors",
        code=code("siamfc_tracks"),
    output:
        f"{NODE}/tracks_siamfc.h5",
    log:
        f"{NODE}/tracks_siamfc.log",
    benchmark:
        f"{NODE}/tracks_siamfc.benchmark.tsv"
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
        "../workflow/scripts/siamfc_tracks.py"


rule coherence:
    input:
        images=f"{DATASET}/images.h5",
        detections=f"{NODE}/detections.h5",
        tracks=f"{NODE}/tracks_{{tracker}}.h5",
        code=code("coherence"),
    output:
        f"{NODE}/coherence_{{tracker}}.h5",
    log:
        f"{NODE}/coherence_{{tracker}}.log",
    benchmark:
        f"{NODE}/coherence_{{tracker}}.benchmark.tsv"
    conda:
        "../envs/light.yaml"
    params:
        overlap=CONFIG["video"]["overlap"],
    script:
        "../workflow/scripts/coherence.py"


rule errors:
    input:
        detections=f"{NODE}/detections.h5",
        truth=f"{DATASET}/truth.h5",
        code=code("errors"),
    output:
        f"{NODE}/errors.h5",
    log:
        f"{NODE}/errors.log",
    benchmark:
        f"{NODE}/errors.benchmark.tsv"
    conda:
        "../envs/light.yaml"
    script:
        "../workflow/scripts/errors.py"


rule evaluate:
    input:
        predictions=f"{NODE}/predictions.h5",
        labeled=f"{NODE}/labeled.h5",
        truth=f"{DATASET}/truth.h5",
        code=code("evaluate_detector"),
    output:
        f"{NODE}/metrics.json",
    log:
        f"{NODE}/evaluate.log",
    conda:
        "../envs/light.yaml"
    script:
        "../workflow/scripts/evaluate_detector.py"


rule pictures:
    input:
        images=f"{DATASET}/images.h5",
        truth=f"{DATASET}/truth.h5",
        detections=f"{SEED}/start-{{learner}}/cycle0/detections.h5",
        coherence=f"{SEED}/start-{{learner}}/cycle0/coherence_{{tracker}}.h5",
        code=code("pictures"),
    output:
        sheet=report(
            f"{RESULTS}/pictures/{{learner}}_seed{{seed}}_{{tracker}}.png",
            caption="../workflow/report/pictures.rst",
            category="Temporal coherence",
            labels={"figure": "estimated errors, {tracker}"},
        ),
        sequence=report(
            f"{RESULTS}/pictures/{{learner}}_seed{{seed}}_{{tracker}}.gif",
            caption="../workflow/report/pictures.rst",
            category="Temporal coherence",
            labels={"figure": "sequence, {tracker}"},
        ),
    log:
        f"{RESULTS}/pictures/{{learner}}_seed{{seed}}_{{tracker}}.log",
    conda:
        "../envs/torch.yaml"
    script:
        "../workflow/scripts/pictures.py"


rule coherence_quality:
    input:
        coherence=[f"{file}_{tracker}.h5" for file in first_nodes("coherence") for tracker in trackers()],
        detections=[file for file in first_nodes("detections.h5") for tracker in trackers()],
        truth=f"{DATASET}/truth.h5",
        code=code("coherence_quality"),
    output:
        report(
            f"{RESULTS}/coherence_quality.csv",
            caption="../workflow/report/coherence_quality.rst",
            category="Temporal coherence",
            labels={"table": "estimated against true errors"},
        ),
    log:
        f"{RESULTS}/coherence_quality.log",
    conda:
        "../envs/light.yaml"
    script:
        "../workflow/scripts/coherence_quality.py"


rule video_costs:
    input:
        images=f"{DATASET}/images.h5",
        dataset=f"{DATASET}/dataset.benchmark.tsv",
        flow=flow_shards(CONFIG["video"]["flow"], "benchmark.tsv"),
        costs=f"{RESULTS}/costs.csv",
        code=code("video_costs"),
    output:
        report(
            f"{RESULTS}/video_costs.csv",
            caption="../workflow/report/video_costs.rst",
            category="Tables",
            labels={"table": "seconds per 1,000 frames"},
        ),
    log:
        f"{RESULTS}/video_costs.log",
    conda:
        "../envs/light.yaml"
    params:
        rendered=CONFIG["dataset"]["loader"] == "synthia_al",
    script:
        "../workflow/scripts/video_costs.py"
