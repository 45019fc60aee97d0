"""Videos: rendered or read -> images.h5 and the sealed truth.h5; their optical flow, once per data set. Both are shared by all studies."""


rule dataset:
    input:
        code=code("video_dataset"),
    output:
        images=f"{DATASET}/images.h5",
        truth=f"{DATASET}/truth.h5",
    log:
        f"{DATASET}/dataset.log",
    benchmark:
        f"{DATASET}/dataset.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 4
    params:
        dataset=CONFIG["dataset"],
    script:
        "../workflow/scripts/video_dataset.py"


rule optical_flow:
    input:
        images=f"{DATASET}/images.h5",
        weights=lambda wildcards: CONFIG["video"]["flow_weights"] if wildcards.flow == "raft" else [],
        code=code("optical_flow"),
    output:
        f"{FLOW}.h5",
    log:
        f"{FLOW}.log",
    benchmark:
        f"{FLOW}.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=lambda wildcards: int(wildcards.flow == "raft"),
        mem_mb=4000,
        runtime=240,
    params:
        dataset=CONFIG["dataset"],
        stride=CONFIG["video"]["flow_stride"],
        shards=CONFIG["video"]["shards"],
        weights=lambda wildcards: CONFIG["video"]["flow_weights"] if wildcards.flow == "raft" else None,
    script:
        "../workflow/scripts/optical_flow.py"


rule scenes:
    input:
        images=f"{DATASET}/images.h5",
        truth=f"{DATASET}/truth.h5",
        code=code("scenes"),
    output:
        report(
            f"{DATASET}/scenes.png",
            caption="../workflow/report/scenes.rst",
            category="Data",
            labels={"figure": "frames with their true boxes"},
        ),
    log:
        f"{DATASET}/scenes.log",
    conda:
        "../envs/torch.yaml"
    script:
        "../workflow/scripts/scenes.py"


rule flow_error:
    input:
        images=f"{DATASET}/images.h5",
        flow=flow_shards(CONFIG["video"]["flow"]),
        truth=flow_shards("true"),
        code=code("flow_error"),
    output:
        report(
            f"{RESULTS}/flow_error.csv",
            caption="../workflow/report/flow_error.rst",
            category="Tables",
            labels={"table": "end-point error of the optical flow"},
        ),
    log:
        f"{RESULTS}/flow_error.log",
    conda:
        "../envs/torch.yaml"
    script:
        "../workflow/scripts/flow_error.py"
