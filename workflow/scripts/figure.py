"""A table -> a figure, by the function of that name in dagal.report.figures."""

from pathlib import Path

import pandas as pd
from job import start

from dagal.report import figures

start(snakemake)
table = pd.read_csv(snakemake.input.table)
further = {Path(path).stem: pd.read_csv(path) for path in snakemake.input.further}
draw = figures.nothing if table.empty else getattr(figures, snakemake.params.function)
draw(table, snakemake.output[0], snakemake.params.dpi, **further)
