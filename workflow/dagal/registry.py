"""Catalogues: a name that a study may give, and what it stands for."""

import importlib


class Registry(dict):
    """Name -> ``"module:attribute"``, imported when it is asked for, so that start-up stays quick; or name -> a plain fact.

    The code digest of a job (`dagal.plan.code`) does not look into a registry: a job depends on the entry that its settings
    name, which the plan tells, and not on the others. A new entry reruns no finished job.
    """

    def find(self, name: str):
        """The definition behind a name. Raises KeyError if there is none of that name."""
        module, _, attribute = self[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
