"""The plan of a study, without Snakemake: its nodes, every path, what each stage reads, when its jobs run again."""

from dagal.plan.study import At, Branch, Node, Study

__all__ = ["At", "Branch", "Node", "Study"]
