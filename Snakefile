"""dagal: deep active learning as a DAG of files. README.md tells how to use it, config/README.md what can be set."""

from snakemake.utils import min_version

min_version("9.27")

# A study is complete by itself: --configfile replaces config.yaml instead of being merged into it.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/nodes.smk"
include: "rules/study.smk"
include: "rules/data.smk"
include: "rules/cycle.smk"


if TASK == "classification":

    include: "rules/backbones.smk"
    include: "rules/classification.smk"
    include: "rules/signals.smk"
    include: "rules/balance.smk"
    include: "rules/embeddings.smk"
    include: "rules/camera_traps.smk"
    include: "rules/stopping.smk"

else:

    include: "rules/video.smk"
    include: "rules/detection.smk"


include: "rules/analysis.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/metrics.csv",
        f"{RESULTS}/summary.csv",
        f"{RESULTS}/costs.csv",
        figures,
        video_tables(),
        tables(),
