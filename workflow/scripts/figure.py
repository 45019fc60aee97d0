"""A table -> a figure, by the function of that name in dagal.figures."""

import pandas as pd
from job import start

from dagal import figures

start(snakemake)
table = pd.read_csv(snakemake.input.table)
getattr(figures, snakemake.params.function)(table, snakemake.output[0], snakemake.params.dpi)
