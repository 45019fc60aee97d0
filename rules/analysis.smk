"""Analysis: tables and figures of a study, from the metrics, scores and benchmark files of its nodes."""


rule metrics:
    input:
        nodes=all_nodes("metrics.json"),
        stops=stops(),
        code=code("metrics"),
    output:
        metrics=report(
            f"{RESULTS}/metrics.csv",
            caption="../workflow/report/metrics.rst",
            category="Tables",
            labels={"table": "all measurements"},
        ),
        classes=f"{RESULTS}/classes.csv",
    log:
        f"{RESULTS}/metrics.log",
    conda:
        "../envs/light.yaml"
    params:
        study=STUDY,
        methods=overview(),
        measured=MEASURED[TASK],
    script:
        "../workflow/scripts/metrics.py"


rule summary:
    input:
        metrics=f"{RESULTS}/metrics.csv",
        code=code("summary"),
    output:
        report(
            f"{RESULTS}/summary.csv",
            caption="../workflow/report/summary.rst",
            category="Tables",
            labels={"table": "summary per method"},
        ),
    log:
        f"{RESULTS}/summary.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/summary.py"


rule costs:
    input:
        benchmarks=benchmarks,
        stops=stops(),
        code=code("costs"),
    output:
        report(
            f"{RESULTS}/costs.csv",
            caption="../workflow/report/costs.rst",
            category="Tables",
            labels={"table": "time and memory per job"},
        ),
    log:
        f"{RESULTS}/costs.log",
    conda:
        "../envs/light.yaml"
    params:
        study=STUDY,
    script:
        "../workflow/scripts/costs.py"


if CONFIG["supervised"]:

    rule supervised_table:
        input:
            nodes=supervised_nodes("metrics.json"),
            code=code("supervised_table"),
        output:
            report(
                f"{RESULTS}/supervised.csv",
                caption="../workflow/report/supervised.rst",
                category="Tables",
                labels={"table": "supervised baselines"},
            ),
        log:
            f"{RESULTS}/supervised.log",
        conda:
            "../envs/light.yaml"
        params:
            study=STUDY,
            baselines=baselines(),
            measured=MEASURED[TASK],
        script:
            "../workflow/scripts/supervised_table.py"


for figure, (function, table, category) in FIGURES.items():

    rule:
        name:
            f"figure_{figure}"
        input:
            table=f"{RESULTS}/{table}.csv",
            further=tables() if function == "learning_curves" else [],
            code=code("figure"),
        output:
            report(
                f"{RESULTS}/figures/{figure}.png",
                caption=f"../workflow/report/{function}.rst",
                category=category,
                labels={"figure": figure.replace("_", " ")},
            ),
        log:
            f"{RESULTS}/figures/{figure}.log",
        conda:
            "../envs/analysis.yaml"
        params:
            function=function,
            dpi=CONFIG["plots"]["dpi"],
        script:
            "../workflow/scripts/figure.py"
