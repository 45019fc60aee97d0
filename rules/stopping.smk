"""Stopping a chain of cycles before its last one (config key `stopping`; no job without it).

`stopping` reads what a node knows and writes stopping.json. All later jobs of a chain that has stopped end at their start,
leaving links: those on the node itself (signals.smk) see its stopping.json, those of a cycle that of the cycle before.
"""


rule stop_set:
    input:
        split=f"{SEED}/split.h5",
        code=code("stop_set"),
    output:
        f"{SEED}/stop_set.h5",
    log:
        f"{SEED}/stop_set.log",
    conda:
        "../envs/light.yaml"
    params:
        size=(CONFIG["stopping"]["kappa"] or {}).get("size"),
    script:
        "../workflow/scripts/stop_set.py"


rule stopping:
    input:
        metrics=f"{NODE}/metrics.json",
        predictions=stop_predictions,
        stopping=lambda wildcards: f"{parent(wildcards)}/stopping.json" if wildcards.branch in METHODS else [],
        code=code("stopping"),
    output:
        f"{NODE}/stopping.json",
    log:
        f"{NODE}/stopping.log",
    conda:
        "../envs/light.yaml"
    params:
        target_accuracy=CONFIG["stopping"]["target_accuracy"],
        kappa={key: value for key, value in (CONFIG["stopping"]["kappa"] or {}).items() if key != "size"},
    script:
        "../workflow/scripts/stopping.py"


rule stopping_tables:
    input:
        stops=[f"{node(seed, method, CYCLES[-1])}/stopping.json" for method in METHODS for seed in SEEDS],
        code=code("stopping_tables"),
    output:
        chains=report(
            f"{RESULTS}/stopping.csv",
            caption="../workflow/report/stopping.rst",
            category="Tables",
            labels={"table": "where and why chains stopped"},
        ),
        cycles=f"{RESULTS}/stopping_cycles.csv",
    log:
        f"{RESULTS}/stopping_tables.log",
    conda:
        "../envs/light.yaml"
    params:
        study=STUDY,
        chains=[(method, seed) for method in METHODS for seed in SEEDS],
        target_accuracy=CONFIG["stopping"]["target_accuracy"],
        threshold=(CONFIG["stopping"]["kappa"] or {}).get("threshold"),
    script:
        "../workflow/scripts/stopping_tables.py"
