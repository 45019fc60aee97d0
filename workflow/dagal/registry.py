"""Catalogues: a name that a study may give, and where the definition that it stands for is."""

import importlib


class Registry(dict):
    """Name -> ``"module:attribute"``; what it stands for is imported when it is asked for, so start-up stays quick.

    The code digest of a job (`dagal.plan.code`) does not look into a registry: a job depends on the entry that its settings
    name, which the plan tells, and not on the others. A new entry reruns no finished job.
    """

    def find(self, name: str):
        """The definition behind a name. Raises KeyError if there is none of that name."""
        module, _, attribute = self[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
