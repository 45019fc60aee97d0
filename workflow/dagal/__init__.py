"""dagal: deep active learning as a DAG of files. The library; it knows nothing of Snakemake."""

__version__ = "0.1.0"
