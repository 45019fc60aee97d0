"""``python -m dagal.config``: write config/study.schema.json and docs/settings.md from the model."""

from dagal.config.publish import write

write()
