"""Camera traps: the detector's counts against the truth. Needs the images.h5 and truth.h5 of a camera_trap data set."""


rule counting:
    input:
        images=f"{DATASET}/images.h5",
        truth=f"{DATASET}/truth.h5",
        code=code("counting"),
    output:
        report(
            f"{RESULTS}/counting.csv",
            caption="../workflow/report/counting.rst",
            category="Tables",
            labels={"table": "empty images and counts"},
        ),
    log:
        f"{RESULTS}/counting.log",
    conda:
        "../envs/light.yaml"
    script:
        "../workflow/scripts/counting.py"
