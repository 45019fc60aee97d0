"""The lambda study of class-balanced methods with `weight: auto` (003, sec. 4.3.3): first query of the first seed at every
weight, the choice, and a figure. Needs the scores and signals of cycle 0; makes lambda/<method>.json for `select`."""


rule lambda_sweep:
    input:
        unpack(first_query_files),
        code=code("lambda_sweep"),
    output:
        sweep=f"{RESULTS}/lambda/{{method}}.h5",
        chosen=f"{RESULTS}/lambda/{{method}}.json",
    log:
        f"{RESULTS}/lambda/{{method}}.log",
    conda:
        "../envs/light.yaml"
    params:
        select=lambda wildcards: METHODS[wildcards.method]["select"],
        options=lambda wildcards: METHODS[wildcards.method]["select_options"],
        weights=CONFIG["lambda_study"]["weights"],
        tolerance=CONFIG["lambda_study"]["tolerance"],
        budget=CONFIG["budget"],
        seed=SEEDS[0],
    script:
        "../workflow/scripts/lambda_sweep.py"


rule lambda_table:
    input:
        sweep=f"{RESULTS}/lambda/{{method}}.h5",
        labeled=lambda wildcards: first_query_files(wildcards)["labeled"],
        truth=f"{DATASET}/truth.h5",
        code=code("lambda_table"),
    output:
        f"{RESULTS}/lambda/{{method}}.csv",
    log:
        f"{RESULTS}/lambda/{{method}}.table.log",
    conda:
        "../envs/light.yaml"
    script:
        "../workflow/scripts/lambda_table.py"
