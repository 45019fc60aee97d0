"""Files of studies."""

import os
from pathlib import Path

from hostile import Case
from hostile._readers import study

STUDY = """study: hostile
dataset: {name: digits}
pool:
  initial: {size: 20}
budget: 10
cycles: 2
seeds: [0]
learners:
  mlp: {architecture: mlp, epochs: 2}
methods:
  random:
"""
VIDEOS = STUDY.replace("{name: digits}", "{name: a, loader: mot, path: .}").replace(
    "architecture: mlp", "architecture: faster_rcnn_small"
)


def written(text: str | bytes):
    """A file of a study."""

    def build(folder):
        path = folder / "study.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return build


def with_line(old: str, new: str):
    """The file of a harmless study in which one part is another."""
    assert STUDY.count(old) == 1, old
    return written(STUDY.replace(old, new))


def refused(name, build, *words):
    return Case(f"config: {name}", build, study, words)


def read(name, build, right):
    return Case(f"config: {name}", build, study, right=right)


def same_study(settings):
    assert settings["study"] == "hostile" and settings["cycles"] == 2 and list(settings["methods"]) == ["random"]


def laughs(kind: str) -> str:
    """Nine aliases of nine aliases ...: a billion values in 500 letters."""
    lists = {
        "list": [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)],
        "mapping": [f"a{i}: &a{i} {{{', '.join(f'k{j}: *a{i - 1}' for j in range(9))}}}" for i in range(1, 10)],
    }
    return "\n".join(["a0: &a0 lol", *lists[kind], STUDY])


def merged() -> str:
    """Merge keys that double at each step."""
    lines = ["a0: &a0 {k: 1}", *(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 40))]
    return "\n".join([*lines, STUDY])


def many_files(folder: Path) -> Path:
    """Files that extend each other in a row."""
    for i in range(2000):
        (folder / f"{i}.yaml").write_text(f"extends: {i + 1}.yaml\n")
    (folder / "2000.yaml").write_text(STUDY)
    return folder / "0.yaml"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "study.yaml")
    return folder / "study.yaml"


def extends(base: str):
    return written(f'extends: "{base}"\n{STUDY}')


def extends_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return extends("pipe")(folder)


def sparse(folder: Path) -> Path:
    with (folder / "study.yaml").open("wb") as file:
        file.truncate(1 << 40)
    return folder / "study.yaml"


def twice(folder: Path) -> Path:
    (folder / "a.yaml").write_text("extends: study.yaml\n")
    return extends("a.yaml")(folder)


CASES = [
    refused("billion laughs of lists", written(laughs("list")), "study.yaml:", "has more than 100,000 values"),
    refused("billion laughs of mappings", written(laughs("mapping")), "study.yaml:", "has more than 100,000 values"),
    refused("merge keys that double", written(merged()), "study.yaml:"),
    refused("recursive alias", with_line("{size: 20}", "&a\n    size: *a"), "contains itself"),
    refused("recursive alias in a list", with_line("[0]", "&a [0, *a]"), "contains itself"),
    refused("recursive merge", with_line("{size: 20}", "&a\n    <<: *a\n    size: 20"), "contains itself"),
    refused("alias of nothing", with_line("[0]", "*a"), "study.yaml:7", "undefined alias"),
    refused("lists in lists, 100,000 deep", with_line("[0]", "[" * 100_000), "nested more than 40 deep"),
    refused("mappings in mappings, 100,000 deep", with_line("[0]", "{a: " * 100_000), "nested more than 40 deep"),
    refused(
        "blocks in blocks, 500 deep", written("".join(f"{' ' * i}a:\n" for i in range(500))), "nested more than 40"
    ),
    refused("a megabyte of one value", written(STUDY + "x: " + "y" * (1 << 20)), "bytes, and at most 1,048,576"),
    refused("a terabyte of nothing", sparse, "bytes, and at most 1,048,576"),
    refused("120,000 seeds", with_line("[0]", str(list(range(120_000)))), "more than 100,000 values"),
    refused("pipe", pipe, "is a device, pipe or socket"),
    refused("/dev/zero", lambda folder: Path("/dev/zero"), "is a device, pipe or socket"),
    refused("folder", lambda folder: folder, "is a folder"),
    refused("nothing there", lambda folder: folder / "study.yaml", "there is no such file"),
    refused("name of 300 letters", lambda folder: folder / ("a" * 300), "File name too long"),
    refused("bytes of a program", lambda folder: Path("/bin/sh").resolve(), "is no text in UTF-8"),
    refused("UTF-16", written(STUDY.encode("utf-16")), "is no text in UTF-8"),
    refused("Latin-1", written(STUDY.encode() + b"# \xe9"), "is no text in UTF-8"),
    refused("NUL", with_line("[0]", "[0]\0"), "study.yaml"),
    refused("control characters", with_line("[0]", "[0] # \x1b[2J"), "study.yaml"),
    refused("only an alias", written("*a"), "study.yaml:1"),
    refused("two documents", written(f"{STUDY}---\n{STUDY}"), "study.yaml"),
    refused("extends a pipe", extends_pipe, "there is no such file"),
    refused("extends a device", extends("/dev/zero"), "there is no such file"),
    refused("extends a name of 300 letters", extends("a" * 300), "255 between two slashes"),
    refused("extends a name with NUL", extends("a\\0b"), "that can be printed"),
    refused("extends itself by another", twice, "extends itself"),
    refused("2,000 files that extend each other", many_files, "extend each other"),
    refused(
        "!!python/object/apply", with_line("[0]", "!!python/object/apply:os.system [touch pwned]"), "is no plain list"
    ),
    refused("!!python/object/new", with_line("[0]", "!!python/object/new:os.system {args: 1}"), "is no plain list"),
    refused("!!python/name", with_line("[0]", "!!python/name:os.system"), "python/name:os.system"),
    refused("!!python/tuple", with_line("[0]", "!!python/tuple [0]"), "is no plain list"),
    refused("!!set", with_line("[0]", "!!set {0, 1}"), "is no plain list"),
    refused("!!binary", with_line("[0]", "!!binary aGVsbG8="), "seeds"),
    refused("!!int of no number", with_line("[0]", "!!int abc"), "cannot be read"),
    refused("key twice", with_line("cycles: 2", "cycles: 2\ncycles: 3"), "stands twice"),
    refused("list as a key", with_line("cycles: 2", "? [a, b]\n: 2"), "a key must be a name"),
    refused("name of 300 letters in it", with_line("study: hostile", f"study: {'a' * 300}"), "at most 100 letters"),
    refused("line end in a name", with_line("study: hostile", 'study: "hostile\\n"'), "letters, digits and _"),
    refused(
        "line end in the name of a data set",
        with_line("{name: digits}", '{name: "a\\n", loader: npz}'),
        "letters, digits",
    ),
    refused("line end in the name of a learner", with_line("  mlp:", '  "mlp\\n":'), "letters, digits and _"),
    refused(
        "line end in the name of a method", with_line("  random:", '  "a\\n": {score: random}'), "letters, digits and _"
    ),
    refused("method of 300 letters", with_line("  random:", f"  {'a' * 300}: {{score: random}}"), "at most 100"),
    refused("learner of 300 letters", with_line("  mlp:", f"  {'a' * 300}:"), "at most 100"),
    refused(".. as a name", with_line("study: hostile", "study: .."), "letters, digits and _"),
    refused("path as a name", with_line("study: hostile", "study: /tmp/a"), "letters, digits and _"),
    refused("name that steers terminals", with_line("study: hostile", 'study: "\\e[2Jx"'), "letters, digits and _"),
    refused("name in Greek", with_line("study: hostile", "study: μελέτη"), "letters, digits and _"),
    refused("key that steers terminals", with_line("cycles: 2", 'cycles: 2\n"\\e[2J\\n": 1'), "is unknown"),
    refused(
        "path with NUL", with_line("{name: digits}", '{name: a, loader: npz, path: "a\\0b"}'), "that can be printed"
    ),
    refused(
        "path of 300 letters",
        with_line("{name: digits}", f"{{name: a, loader: npz, path: {'a' * 300}}}"),
        "255 between two",
    ),
    refused(
        "path of a megabyte",
        with_line("{name: digits}", f"{{name: a, loader: npz, path: {'a/' * 9000}}}"),
        "more than 4000 bytes",
    ),
    refused("1e308 cycles", with_line("cycles: 2", "cycles: 1.0e+308"), "cycles", "of at most 10000"),
    refused("10^18 cycles", with_line("cycles: 2", "cycles: 1000000000000000000"), "cycles"),
    refused("cycles of 100,000 digits", with_line("cycles: 2", f"cycles: {'9' * 100_000}"), "cannot be read"),
    refused(
        "cycles of 100,000 hexadecimal digits", with_line("cycles: 2", f"cycles: 0x{'f' * 100_000}"), "cannot be read"
    ),
    refused(
        "seed of 100,000 hexadecimal digits", with_line("[0]", f"[0x{'f' * 100_000}]"), "study.yaml:7", "cannot be read"
    ),
    refused("seed of 300 digits", with_line("[0]", f"[{'9' * 300}]"), "seeds", "below 2^63"),
    refused("learning rate of 300 digits", with_line("epochs: 2}", f"optimizer: {{lr: {'9' * 310}}}}}"), "lr"),
    refused("infinite cycles", with_line("cycles: 2", "cycles: .inf"), "is infinite"),
    refused("cycles that are no number", with_line("cycles: 2", "cycles: .nan"), "is not a number"),
    refused("negative cycles", with_line("cycles: 2", "cycles: -1"), "of at least 0"),
    refused("true cycles", with_line("cycles: 2", "cycles: true"), "is true"),
    refused("2.5 cycles", with_line("cycles: 2", "cycles: 2.5"), "is 2.5"),
    refused("true as a seed", with_line("[0]", "[true]"), "seeds"),
    refused("seed twice", with_line("[0]", "[0, 0]"), "no value may repeat"),
    refused(
        "baselines of 2^70 labels", with_line("cycles: 2", "cycles: 2\nsupervised: [1180591620717411303424]"), "2^63"
    ),
    refused("mapping as a list", with_line("[0]", "{0: 0}"), "seeds"),
    refused("date as a budget", with_line("budget: 10", "budget: 2020-01-01"), "budget"),
    refused(
        "sexagesimal budget",
        with_line("budget: 10", f"budget: {':'.join(['59'] * 9000)}"),
        "study.yaml:5",
        "cannot be read",
    ),
    refused(
        "10^9 cycles of videos", written(VIDEOS.replace("cycles: 2", "cycles: 1000000000")), "cycles", "at most 10000"
    ),
    refused("10^9 parts of videos", written(f"{VIDEOS}video: {{shards: 1000000000}}\n"), "shards", "at most 10000"),
    refused(
        "10^9 models of an ensemble", written(f"{STUDY}signals: {{members: 1000000000}}\n"), "members", "at most 1000"
    ),
    refused("image size 10^9", with_line("{name: digits}", "{name: digits, image_size: 1000000000}"), "image_size"),
    refused(
        "pattern that is none",
        with_line("{name: digits}", "{name: a, loader: npz, path: ., group_pattern: '('}"),
        "no regular",
    ),
    read("harmless", written(STUDY), same_study),
    read("UTF-8 with a mark", written(b"\xef\xbb\xbf" + STUDY.encode()), same_study),
    read("ends of lines of Windows", written(STUDY.replace("\n", "\r\n")), same_study),
    read("alias", with_line("random:", "random: &a {}"), same_study),
    read("explicit plain tags", with_line("[0]", "!!seq [!!int 0]"), same_study),
    read("100,000 letters of comment", written(f"# {'x' * 100_000}\n{STUDY}"), same_study),
]
