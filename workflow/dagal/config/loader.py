"""Reading studies: YAML with the line of every key, `extends`, and several files over each other."""

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from dagal import files
from dagal.config.fields import Mistake, plain_path, shown
from dagal.errors import UserError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_BYTES, MOST_DEPTH, MOST_VALUES = 1 << 20, 40, 100_000  # of a file of YAML; aliases count as what they stand for
MOST_BITS = 1100  # of a whole number: 1e308 has as many
COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
Places = dict[str, str]  # dotted key -> "file:line"


class Resolved(dict):
    """The settings of a study with all defaults; a plain dict that also knows where each key was written."""

    places: Places = {}


def read(config: dict | str | Path | Sequence, overrides: dict | None = None) -> tuple[dict, Places]:
    """The settings as they are written, and their places. Of several files the later ones win, key by key.

    Raises UserError for a file that cannot be read or is no YAML, a key that stands twice, and a circle of `extends`.
    """
    if isinstance(config, dict):
        settings, places = json.loads(json.dumps(config, default=str)), {}
        if "extends" in settings:
            raise Mistake("extends", "is for files only; give the path of the file instead of its content.")
    else:
        settings, places = {}, {}
        for path in [config] if isinstance(config, str | Path) else config:
            merge(settings, places, *read_file(Path(path)))
    if overrides:
        merge(settings, places, json.loads(json.dumps(overrides, default=str)), dict.fromkeys(overrides, "--config"))
    return settings, places


def read_file(path: Path, above: tuple[Path, ...] = ()) -> tuple[dict, Places]:
    """The settings of a file over those of the file that it extends."""
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    if path.resolve() in above:
        raise UserError(f"{path} extends itself; delete 'extends' in one of {', '.join(map(str, above))}.")
    settings, places = parse(path)
    if "extends" not in settings:
        return settings, places
    base, place = settings.pop("extends"), places.pop("extends")
    if not isinstance(base, str):
        raise UserError(f"{place}: config key 'extends' must be the path of one file, relative to this one.")
    try:
        plain_path(base)
    except ValueError as error:
        raise UserError(f"{place}: config key 'extends' is {base!r}: {error}") from None
    if not (path.parent / base).is_file():
        raise UserError(f"{place}: config key 'extends' is {base!r}, and there is no such file beside {path}.")
    if len(above) > MOST_DEPTH:
        raise UserError(
            f"{path} is the last of more than {MOST_DEPTH} files that extend each other; write some into one."
        )
    merged, merged_places = read_file(path.parent / base, (*above, path.resolve()))
    merge(merged, merged_places, settings, places)
    return merged, merged_places


def merge(settings: dict, places: Places, over: dict, over_places: Places) -> None:
    """Put settings over others, in place: mappings are merged key by key, everything else (lists, null) replaces."""
    _merge(settings, over)
    places.update(over_places)


def _merge(settings: dict, over: dict) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(settings.get(key), dict):
            _merge(settings[key], value)
        else:
            settings[key] = value


def parse(path: Path) -> tuple[dict, Places]:
    """The mapping in a YAML file, and the place of every key. Raises UserError."""
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the YAML file of a study.")
        text = files.contents(path, MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; give the YAML file of a study.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8; save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        check_size(text, path)
        document = yaml.compose(text, LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(f"{path}:{mark.line + 1}: this is no YAML: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}.") from None
    if document is None:
        raise UserError(f"{path} is empty; a study needs at least a name, a data set, a learner and a method.")
    if not isinstance(document, yaml.MappingNode):
        what = "a list" if isinstance(document, yaml.SequenceNode) else "one value"
        raise UserError(f"{path}:1: a study is a mapping of keys, not {what}.")
    places: Places = {}
    return _value(document, str(path), "", places, ()), places


def head(config: str | Path | Sequence) -> str:
    """The comment that a file of a study begins with, of several files the last one's: what it asks, and what was published.

    Without the signs of a comment, and without lines for editors.
    """
    path = Path(config if isinstance(config, str | Path) else config[-1])
    lines = itertools.takewhile(
        lambda line: line.startswith("#"), files.contents(path, MOST_BYTES).decode("utf-8-sig").splitlines()
    )
    return "\n".join(line[1:].removeprefix(" ").rstrip() for line in lines if "yaml-language-server" not in line)


def check_size(text: str, path: Path) -> None:
    """Raise UserError for YAML that is nested too deeply, or has too many values once every alias is written out.

    Raises YAMLError as the parser does. Nothing is built: a few lines of aliases may stand for more values than any memory holds.
    """
    values, anchors, above = 0, {}, []  # above: (anchor, values before it) of each collection that is open
    for event in yaml.parse(text, LOADER):
        values += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.AliasEvent):
            values += anchors.get(event.anchor, 0)
        elif isinstance(event, yaml.CollectionStartEvent):
            above.append((event.anchor, values))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = above.pop()
            anchors[anchor] = values - before
        if len(above) > MOST_DEPTH or values > MOST_VALUES:
            what = (
                f"is nested more than {MOST_DEPTH} deep"
                if len(above) > MOST_DEPTH
                else f"has more than {MOST_VALUES:,} values"
            )
            raise UserError(
                f"{path}:{event.start_mark.line + 1}: this {what}, with aliases written out; no study needs that."
            )


def _value(node: yaml.Node, path: str, key: str, places: Places, above: tuple) -> object:
    if node in above:
        raise UserError(f"{path}:{node.start_mark.line + 1}: this part contains itself; write it out.")
    above = (*above, node)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in COLLECTIONS:
        raise UserError(
            f"{path}:{node.start_mark.line + 1}: {node.tag} is no plain list or mapping; write one without the tag."
        )
    if isinstance(node, yaml.SequenceNode):
        return [_value(entry, path, f"{key}.{n}", places, above) for n, entry in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        try:
            value = yaml.SafeLoader("").construct_object(node)
            if isinstance(value, int) and value.bit_length() > MOST_BITS:
                raise ValueError("a number that Python writes no decimals of")
            return value
        except (yaml.YAMLError, ValueError):
            raise UserError(
                f"{path}:{node.start_mark.line + 1}: {node.tag} {shown(node.value)} cannot be read; write a plain value."
            ) from None
    result, own = {}, {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if key_node.tag == "tag:yaml.org,2002:merge":
            nodes = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for merged in reversed(nodes):  # the first of several wins
                if not isinstance(merged, yaml.MappingNode):
                    raise UserError(f"{path}:{line}: << takes a mapping, as in <<: *name.")
                result |= _value(merged, path, key, places, above)
            continue
        if not isinstance(key_node, yaml.ScalarNode):
            raise UserError(f"{path}:{line}: a key must be a name.")
        name = key_node.value
        if name in own:
            raise UserError(f"{path}:{line}: {name!r} stands twice, first in line {own[name][0]}; delete one.")
        own[name] = line, value_node
    for name, (line, value_node) in own.items():
        dotted = f"{key}.{name}" if key else name
        places[dotted] = f"{path}:{line}"
        result[name] = _value(value_node, path, dotted, places, above)
    return result


def place_of(key: str, places: Places) -> str:
    """Where a key stands, or its nearest parent that does; empty where nothing is known."""
    while key and key not in places:
        key = key.rpartition(".")[0]
    return places.get(key, "")


@contextlib.contextmanager
def located(places: Places) -> Iterator[None]:
    """Put the place before the sentence of a Mistake."""
    try:
        yield
    except Mistake as mistake:
        # of a key that stands nowhere, the file with the most keys is named
        first = place_of(mistake.key, places) or next(iter(places.values()), "").rpartition(":")[0]
        raise UserError(f"{first}: {mistake}" if first else str(mistake)) from None


def places_of(study: dict) -> contextlib.AbstractContextManager:
    """`located` for a resolved study."""
    return located(getattr(study, "places", {}))
