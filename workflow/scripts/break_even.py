"""metrics.csv -> labels per class from which each method beats the random one of its learner."""

from pathlib import Path

from job import start

from dagal.report.break_even import of_study

start(snakemake)
table = of_study(Path(snakemake.input.metrics).parent)
table.to_csv(snakemake.output[0], index=False, float_format="%.6g", lineterminator="\n")
print(table.to_string(index=False, na_rep="never"))
