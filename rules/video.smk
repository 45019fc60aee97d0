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
        weights=CONFIG["video"]["flow_weights"] or [],
        code=code("optical_flow"),
    output:
        f"{DATASET}/flow_{{flow}}/{{shard}}.h5",
    log:
        f"{DATASET}/flow_{{flow}}/{{shard}}.log",
    benchmark:
        f"{DATASET}/flow_{{flow}}/{{shard}}.benchmark.tsv"
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
        weights=CONFIG["video"]["flow_weights"],
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
        flow=expand(f"{DATASET}/flow_{CONFIG['video']['flow']}/{{shard}}.h5", shard=range(CONFIG["video"]["shards"])),
        truth=expand(f"{DATASET}/flow_true/{{shard}}.h5", shard=range(CONFIG["video"]["shards"])),
        code=code("flow_error"),
    output:
        report(
            f"{DATASET}/flow_error_{CONFIG['video']['flow']}.csv",
            caption="../workflow/report/flow_error.rst",
            category="Tables",
            labels={"table": "end-point error of the optical flow"},
        ),
    log:
        f"{DATASET}/flow_error.log",
    conda:
        "../envs/torch.yaml"
    script:
        "../workflow/scripts/flow_error.py"
