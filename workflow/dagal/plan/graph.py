"""The jobs of a study and what they need of each other, as Snakemake finds them: from the files that are asked for, backwards."""

import functools
import re
from collections import Counter
from collections.abc import Iterable

from dagal.plan import job
from dagal.plan.study import WILDCARDS, Study

Job = tuple[str, tuple[tuple[str, str], ...]]  # stage, wildcards by name


def jobs(study: Study, targets: Iterable[str]) -> dict[Job, list[str]]:
    """Every job that the targets need, with the files that it reads. Raises ValueError where two stages make one file."""
    found, waiting, seen = {}, list(targets), set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        maker = made_by(study, path)
        if maker is None or maker in found:
            continue
        stage, wildcards = maker
        inputs = job.reads(study, stage, study.at(dict(wildcards))).values()
        found[maker] = [file for value in inputs for file in ([value] if isinstance(value, str) else value)]
        waiting += found[maker]
    return found


def counts(found: dict[Job, list[str]]) -> dict[str, int]:
    """Number of jobs of each stage."""
    return dict(Counter(stage for stage, _ in found))


def made_by(study: Study, path: str) -> Job | None:
    """The job that writes a file; None for a file that the user brings."""
    by_name, others = patterns(study)
    found = []
    for stage, pattern in (*by_name.get(path.rpartition("/")[2], ()), *others):
        if match := pattern.fullmatch(path):
            found.append((stage, tuple(sorted(match.groupdict().items()))))
    if len(found) > 1:
        raise ValueError(f"{path} is made by {found[0][0]} and by {found[1][0]}")
    return found[0] if found else None


@functools.cache
def patterns(study: Study) -> tuple[dict[str, list], list]:
    """(stage, expression) of every output: by the file's name, and those whose file's name has a wildcard."""
    by_name, others = {}, []
    for stage in study.stages:
        wildcards = WILDCARDS | study.stage(stage).where(study)
        for pattern in job.writes(study, stage).values():
            name = pattern.rpartition("/")[2]
            (others if "{" in name else by_name.setdefault(name, [])).append(
                (stage, re.compile(expression(pattern, wildcards)))
            )
    return by_name, others


def expression(pattern: str, wildcards: dict[str, str]) -> str:
    """A pattern with wildcards in braces as a regular expression."""
    parts, seen = re.split(r"{(\w+)}", pattern), set()
    text = ""
    for place, part in enumerate(parts):
        if place % 2 == 0:
            text += re.escape(part)
        else:
            text += f"(?P={part})" if part in seen else f"(?P<{part}>{wildcards[part]})"
            seen.add(part)
    return text
