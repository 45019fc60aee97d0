"""What is written from the model: the JSON schema for editors and the tables of the documentation."""

import json
from pathlib import Path

from dagal.config.fields import MOST_LETTERS, Section, Variants, join, schema_of, shape, words
from dagal.config.study import Study

ROOT = Path(__file__).parents[3]
# heading of docs/settings.md -> the keys at the top of a study that stand under it
CHAPTERS = {
    "Study": ("extends", "study", "budget", "cycles", "seeds"),
    "Data set": ("dataset",),
    "Pool": ("pool",),
    "Annotators": ("oracle", "regions"),
    "Learners": ("learners",),
    "Backbones": ("backbones",),
    "Methods": ("methods",),
    "Adversaries": ("adversaries",),
    "Signals and video": ("signals", "video"),
    "Stopping, baselines and analyses": ("stopping", "supervised", "repeats", "lambda_study", "published", "plots"),
    "Machine": ("jobs_per_gpu",),
}
# one section, sections by name, a list of them: its type in words, and what follows its key in the keys below it
KINDS = {None: "a mapping", dict: "a mapping of names", list: "a list of mappings"}
BELOW = {None: "", dict: ".<name>", list: ".<n>"}
EXTENDS = {
    "type": "string",
    "description": "The study that this one changes: the path of its file, relative to this one.",
}
INTRODUCTION = """# Settings

Every key that a study may set. This page is generated from `workflow/dagal/config/` (`make docs`); how a study is written is told
in [config/README.md](../config/README.md).

Types: a *name* holds letters, digits and `_`; `<name>` in a key stands for any name, `<n>` for a place in a list. Keys that only
some loaders, architectures, kinds or tasks have say so in front of their meaning. *required*: there is no default. *nothing* is
written `null` or left empty.
Papers: **000** Zolfaghari Bengar et al., "When Deep Learners Change Their Mind"; **001** Pantea, "Human-in-the-Loop ML Project";
**002** the survey that holds the camera traps of Norouzzadeh et al.; **003** Zolfaghari Bengar, "Reducing Label Effort with Deep
Active Learning" (thesis); **004** Kim et al., "Task-Aware Variational Adversarial Active Learning".
"""


def sections_of(about: type[Section] | Variants) -> list[type[Section]]:
    """The section, or all variants."""
    if not isinstance(about, Variants):
        return [about]
    return list(dict.fromkeys(about.sections()))


def fields_of(about: type[Section] | Variants) -> dict:
    """Key -> field, of a section or of all variants together, by the first of them that has it."""
    found = {}
    for section in sections_of(about):
        found |= {name: field for name, field in section.model_fields.items() if name not in found}
    return found


def json_schema() -> dict:
    """The JSON schema of a study, complete or extending another."""
    schema = _section_schema(Study)
    schema["properties"] = {"extends": EXTENDS, **schema["properties"]}
    # what a study extends has the rest
    schema["if"], schema["then"] = {"not": {"required": ["extends"]}}, {"required": schema.pop("required")}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "A study of dagal", **schema}


def _section_schema(about: type[Section] | Variants) -> dict:
    """A mapping; of variants it has the keys of all, and each rule below names those of one.

    Only the study itself states what is required: below it, a file that extends another gives parts.
    """
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _field_schema(field) for name, field in fields_of(about).items()},
    }
    if about is Study:
        schema["required"] = [name for name, field in Study.model_fields.items() if field.is_required()]
    if isinstance(about, Variants) and about.key:
        schema["properties"][about.key] |= {"enum": list(about.table())}
        schema["allOf"] = [
            {
                "if": {"required": [about.key], "properties": {about.key: {"enum": names}}},
                "then": {"propertyNames": {"enum": allowed}},
            }
            for names, allowed in about.rules()
        ]
    return schema


def _field_schema(field) -> dict:
    about, held, optional = shape(field)
    if about is None:
        schema = schema_of(field)
        schema.pop("papers", None)
        schema.pop("otherwise", None)
        return schema
    schema = _section_schema(about)
    if held is list:
        schema = {"type": "array", "items": schema}
    elif held is dict:
        names = {"pattern": "^[A-Za-z0-9_]+$", "maxLength": MOST_LETTERS}
        content = {"anyOf": [schema, {"type": "null"}]} if field is Study.model_fields["methods"] else schema
        schema = {"type": "object", "propertyNames": names, "additionalProperties": content}
    if optional:
        schema["type"] = ["object", "null"]
    return {"description": field.description, **schema}


def rows(about: type[Section] | Variants, prefix: str = "") -> list[tuple[str, str, str, str, str]]:
    """(key, type, default, meaning, papers) of every key of a section and of what is below it."""
    found = []
    for name, field in fields_of(about).items():
        key, (inner, held, optional) = join(prefix, name), shape(field)
        extra = field.json_schema_extra or {}
        owners = list(about.owners(name)) if isinstance(about, Variants) else []
        everywhere = isinstance(about, Variants) and all(name in section.model_fields for section in sections_of(about))
        meaning = field.description if everywhere or not owners else f"*{', '.join(owners)}*: {field.description}"
        kind = words(schema_of(field)) if inner is None else KINDS[held] + (" or nothing" if optional else "")
        if isinstance(about, Variants) and name == about.key:
            kind = f"one of {', '.join(about.table())}"
        found.append((key, kind, default_of(field), meaning, extra.get("papers", "")))
        if inner is not None and not getattr(inner, "repeated", False):
            found += rows(inner, key + BELOW[held])
    return found


def default_of(field) -> str:
    """The default as it is written in YAML, or in words."""
    extra = field.json_schema_extra or {}
    if extra.get("otherwise"):
        return extra["otherwise"]
    if field.is_required():
        return "required"
    if field.default_factory:
        return "`{}`"
    return f"`{json.dumps(field.default).strip(chr(34))}`"


def settings_page() -> str:
    """docs/settings.md."""
    lines = [INTRODUCTION]
    every = rows(Study)
    every.insert(0, ("extends", "text", "`null`", EXTENDS["description"], ""))
    for heading, tops in CHAPTERS.items():
        lines += [f"## {heading}\n", "| key | type | default | meaning | papers |", "| --- | --- | --- | --- | --- |"]
        for key, *cells in every:
            if key.split(".")[0] in tops:
                lines.append(f"| `{key}` | {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def write(root: Path = ROOT) -> None:
    """Write what is generated."""
    (root / "config/study.schema.json").write_text(json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n")
    (root / "docs/settings.md").write_text(settings_page())
