"""What the sections of a study are built of: types, limits, variants, and how a mapping becomes a section."""

import copy
import difflib
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)

from dagal.errors import UserError
from dagal.files import possible

LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
MOST_LETTERS = 100  # of a name, which becomes part of the names of files
NAME = re.compile(rf"[A-Za-z0-9_]{{1,{MOST_LETTERS}}}")
MOST_SHOWN = 200  # letters of a value in a sentence


class Mistake(UserError):
    """What is wrong with a config key; the loader puts the file and the line before it."""

    def __init__(self, key: str, sentence: str):
        super().__init__(f"config key {key!r} {sentence}")
        self.key = key


def whole(value: Any) -> Any:
    """1.0 is taken for 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def of_64_bits(value: int) -> int:
    if abs(value) >= 2**63:
        raise ValueError("must be below 2^63.")
    return value


def as_given(value: Any, check: Callable) -> Any:
    """A checked number as it was written: 1 stays 1, which is stored differently from 1.0."""
    check(value)
    return value


def plain_path(value: str) -> str:
    """A path without anything that a shell would replace: a study must mean the same on every machine."""
    if value.startswith("~") or "$" in value:
        raise ValueError("~ and $ are not replaced here; write the path itself, relative to the working directory.")
    if not value.isprintable():
        raise ValueError("a path must hold nothing but letters and signs that can be printed.")
    return possible(value)


Whole = Annotated[int, BeforeValidator(whole), AfterValidator(of_64_bits)]
Number = Annotated[float, WrapValidator(as_given)]
Name = Annotated[str, Field(pattern="^[A-Za-z0-9_]+$", max_length=MOST_LETTERS)]
File = Annotated[str, AfterValidator(plain_path)]
Seed = Annotated[int, BeforeValidator(whole), Field(ge=0, lt=2**63)]


def setting(meaning: str, default: Any = ..., *, papers: str = "", otherwise: str = "", unique: bool = False, **limits):
    """One key: its meaning, its default, what the papers state and its limits.

    ``otherwise`` says in words what is taken where the default follows from other keys.
    """
    about = {"papers": papers, "otherwise": otherwise, "uniqueItems": unique}
    extra = {name: value for name, value in about.items() if value}
    return Field(default, description=meaning, json_schema_extra=extra, **limits)


def part(meaning: str, section: Callable | None = None, *, papers: str = ""):
    """A mapping of keys; with ``section`` it may be left out and is then that section with its defaults."""
    return Field(
        **({"default_factory": section} if section else {}),
        description=meaning,
        json_schema_extra={"papers": papers} if papers else {},
    )


class Section(BaseModel):
    """A mapping of settings."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())
    label: ClassVar[str] = ""  # what the section is for, where there are variants of it
    sparse: ClassVar[bool] = False  # keys without a value are left out of the resolved study

    def check(self, key: str) -> None:
        """Complete the section and raise Mistake where keys contradict each other; ``key`` is its own."""

    def plain(self) -> dict:
        """Nested dicts of plain values."""
        values = {name: _plain(getattr(self, name)) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if not (self.sparse and value is None)}


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.plain()
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return copy.deepcopy(value)


@dataclass(frozen=True)
class Variants:
    """Sections of which one is taken: that which the table has for the value of ``key``."""

    key: str
    table: Callable[[], dict[str, type[Section]]]

    def prepare(self, value: dict, context: dict) -> dict:
        """The mapping before its section is chosen."""
        return value

    def choose(self, value: dict, key: str, context: dict) -> tuple[str, type[Section]]:
        """What the section is for, and the section. Raises Mistake."""
        table, place = self.table(), join(key, self.key)
        if self.key not in value:
            raise Mistake(place, f"is missing; allowed: {', '.join(table)}.")
        if value[self.key] not in list(table):
            raise Mistake(place, f"is {shown(value[self.key])}: must be one of {', '.join(table)}.")
        return value[self.key], table[value[self.key]]

    def sections(self) -> list[type[Section]]:
        """Every section that may be chosen."""
        return list(self.table().values())

    def rules(self) -> list[tuple[list[str], list[str]]]:
        """(values of ``key``, keys that a mapping with one of them may have)."""
        found = {}
        for value, section in self.table().items():
            found.setdefault(section, []).append(value)
        return [(values, list(section.model_fields)) for section, values in found.items()]

    def owners(self, name: str) -> dict[str, type[Section]]:
        """Label -> section of the variants that have a key, without those that only inherit it from another."""
        having = {variant: section for variant, section in self.table().items() if name in section.model_fields}
        return {
            getattr(section, "label", "") or variant: section
            for variant, section in having.items()
            if not {*section.__mro__[1:]} & {*having.values()}
        }


def shape(field) -> tuple[type[Section] | Variants | None, type | None, bool]:
    """(section or variants, ``dict`` or ``list`` of them or None for one, whether it may be nothing) of a field.

    (None, None, ...) for a plain value.
    """
    inner = [option for option in typing.get_args(field.annotation) if option is not types.NoneType]
    optional = types.NoneType in typing.get_args(field.annotation)
    annotation = inner[0] if optional else field.annotation
    held = typing.get_origin(annotation) if typing.get_origin(annotation) in (dict, list) else None
    content = typing.get_args(annotation)[-1] if held else annotation
    about = next(
        (entry for entry in (*field.metadata, *getattr(content, "__metadata__", ())) if isinstance(entry, Variants)),
        None,
    )
    if not about and isinstance(content, type) and issubclass(content, Section):
        about = content
    return about, held if about else None, optional


def fill(
    section: type[Section], value: Any, key: str, context: dict, variants: Variants | None = None, variant: str = ""
):
    """The section with the given settings and its defaults. Raises Mistake for the first key that cannot be taken.

    ``context`` holds the parts of the study that are there already.
    """
    for name in mapping(value, key):
        if name not in section.model_fields:
            check_foreign(section, name, value[name], key, variants, variant)
    values = {}
    for name, field in section.model_fields.items():
        if name in value:
            values[name] = _fill_field(field, value[name], join(key, name), context)
        elif field.is_required():
            raise Mistake(join(key, name), "is missing.")
        if not key:
            context[name] = values.get(name)
    try:
        filled = section(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "value_error":
            requirement = str(first["ctx"]["error"])
        else:
            requirement = requirement_of(schema_of(section.model_fields[name]), value[name])
        raise Mistake(join(key, name), f"is {shown(value[name])}: {requirement}") from None
    if isinstance(filled, Section):  # a task's own learner may be any model of pydantic
        filled.check(key)
    return filled


def _fill_field(field, value: Any, key: str, context: dict) -> Any:
    about, held, optional = shape(field)
    if about is None:
        unique = (field.json_schema_extra or {}).get("uniqueItems") and isinstance(value, list)
        if unique and len({repr(entry) for entry in value}) < len(value):
            raise Mistake(key, f"is {shown(value)}: no value may repeat.")
        return value
    if value is None and optional:
        return None
    if held is None:
        return _build(about, value, key, context)
    if held is list:
        if not isinstance(value, list):
            raise Mistake(key, f"is {shown(value)}: must be a list of mappings.")
        return [_build(about, entry, join(key, str(n)), context) for n, entry in enumerate(value)]
    filled = {}
    for name, entry in mapping(value, key).items():
        if not NAME.fullmatch(name):
            raise Mistake(
                join(key, name), f"may hold only letters, digits and _ in its name, at most {MOST_LETTERS}; rename it."
            )
        filled[name] = _build(about, entry, join(key, name), context)
    return filled


def _build(about: type[Section] | Variants, value: Any, key: str, context: dict) -> Section:
    if not isinstance(about, Variants):
        return fill(about, value, key, context)
    value = about.prepare(dict(mapping(value, key)), context)
    variant, section = about.choose(value, key, context)
    return fill(section, value, key, context, about, variant)


def mapping(value: Any, key: str) -> dict:
    """The value, which must be a mapping. Raises Mistake."""
    if not isinstance(value, dict):
        raise Mistake(key or "top level", f"is {shown(value)}: must be a mapping.")
    return value


def check_foreign(
    section: type[Section], name: str, value: Any, key: str, variants: Variants | None, variant: str
) -> None:
    """Raise Mistake for a key that a section does not have, but for one of another variant that is at its default."""
    owners = variants.owners(name) if variants else {}
    if not owners:
        allowed = list(section.model_fields)
        raise Mistake(join(key, name), f"is unknown{did_you_mean(name, allowed)}; allowed here: {', '.join(allowed)}.")
    if value not in [owner.model_fields[name].default for owner in owners.values()]:
        raise Mistake(join(key, name), f"is for {' or '.join(owners)} only, not for {variant}; delete it.")


def did_you_mean(name: str, names: list[str]) -> str:
    """A hint in brackets, or nothing."""
    close = difflib.get_close_matches(name, names, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def join(*names: str) -> str:
    """A dotted key."""
    return ".".join(filter(None, names))


def check_ascending(key: str, values: list) -> None:
    """Raise Mistake for an interval whose first number is the larger one."""
    if values[0] > values[1]:
        raise Mistake(key, f"is {shown(values)}: give the smaller number first.")


def shown(value: Any) -> str:
    """A value in YAML's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, float) and value != value:
        return "not a number (.nan)"
    if value in (float("inf"), float("-inf")):
        return "infinite (.inf)"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def schema_of(field) -> dict:
    """JSON schema of a plain field, with its description and limits."""
    return _named_limits(TypeAdapter(Annotated[field.annotation, field]).json_schema())


def _named_limits(schema: Any) -> Any:
    """Limits of our own number types by the names that JSON schema has for them."""
    if isinstance(schema, list):
        return [_named_limits(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    return {LIMITS.get(name, name): _named_limits(value) for name, value in schema.items()}


def requirement_of(schema: dict, value: Any) -> str:
    """What a value must be, with a hint where YAML reads a number as text."""
    text = re.fullmatch(r"([+-]?\d+)(\.\d*)?[eE]([+-]?)(\d+)", value) if isinstance(value, str) else None
    if text and "number" in words(schema):
        number = f"{text[1]}{text[2] or '.0'}e{text[3] or '+'}{text[4]}"
        return f"must be {words(schema)}, but YAML reads this as text; write {number} with a decimal point."
    return f"must be {words(schema)}."


def words(schema: dict, plural: bool = False) -> str:
    """A JSON schema in YAML's words: "a whole number of at least 1", "a list of texts or nothing"."""
    if "anyOf" in schema:
        options = sorted(schema["anyOf"], key=lambda option: option.get("type") == "null")
        return " or ".join(words(option, plural) for option in options)
    if "const" in schema or "enum" in schema:
        values = [str(value) for value in schema.get("enum", [schema.get("const")])]
        return f"one of {', '.join(values)}" if len(values) > 1 else values[0]
    if schema.get("pattern"):
        return ("names" if plural else "a name") + f" of at most {schema.get('maxLength')} letters, digits and _"
    if schema.get("type") == "array":
        items = schema.get("items") or {}
        least, most = schema.get("minItems"), schema.get("maxItems")
        count = f"{least} {'' if least == most else 'or more '}" if least else ""
        content = words(items, plural=True) if items else "values"
        return ("lists of " if plural else "a list of ") + count + content
    kinds = {
        "integer": ("a whole number", "whole numbers"), "number": ("a number", "numbers"), "string": ("text", "texts"),
        "boolean": ("true or false", "true or false"), "null": ("nothing", "nothing"), "object": ("a mapping", "mappings"),
    }  # fmt: skip
    bounds = {
        "minimum": "of at least",
        "exclusiveMinimum": "above",
        "maximum": "of at most",
        "exclusiveMaximum": "below",
    }
    limits = [
        f"{sign} {'2^63' if schema[bound] == 2**63 else schema[bound]}"
        for bound, sign in bounds.items()
        if bound in schema
    ]
    if "minProperties" in schema:
        limits.append(f"of at least {schema['minProperties']} name")
    return " ".join(filter(None, (kinds[schema.get("type", "string")][plural], " and ".join(limits))))
