"""Things found by name, whose modules are loaded only when one is asked for."""

import importlib


class Registry(dict):
    """Name -> ``"module:attribute"``. A change of one entry's module concerns only whoever asks for that entry."""

    def find(self, name: str):
        """The object behind a name. Raises KeyError for an unknown one."""
        module, _, attribute = self[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
