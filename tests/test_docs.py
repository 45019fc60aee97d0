"""The documentation against the repository: links, experiments and methods that it names."""

import re
from pathlib import Path

import pytest
import yaml

from dagal import tasks
from dagal.acquisition import methods
from dagal.config import load
from dagal.plan import Study
from dagal.report.registry import items

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "data" / "README.md"]
PROSE = {page: re.sub(r"```.*?```", "", page.read_text(), flags=re.S) for page in PAGES}


def anchors(page: Path) -> set[str]:
    """Names by which a link reaches the headings of a page."""
    headings = re.findall(r"^#+ (.*)", PROSE[page], re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)]*)\)", PROSE[page])
    broken = []
    for link in links:
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_experiments_exist(page):
    named = set(re.findall(r"experiments/([\w/]+)\.yaml", page.read_text()))
    assert {name for name in named if not (ROOT / "experiments" / f"{name}.yaml").exists()} == set()


def test_every_experiment_stands_in_the_papers():
    linked = set(re.findall(r"experiments/(\w+)\.yaml", PROSE[ROOT / "docs" / "papers.md"]))
    assert linked == {path.stem for path in (ROOT / "experiments").glob("*.yaml")}


PRINTED = {  # numbers of the figures and tables of each paper
    "000": (range(1, 5), [1]),
    "001": (range(1, 7), [1, 2]),
    "002, survey": (range(1, 10), [1, 2]),
    "002, SRAAL": (range(1, 8), [1]),
    "002, camera traps": (range(1, 6), [1]),
    "003": (
        [f"{chapter}.{k}" for chapter, last in enumerate((6, 7, 9, 11, 6), 1) for k in range(1, last + 1)],
        ["2.1", "2.2", "3.1", "4.1", "4.2", "4.3", "5.1"],
    ),
    "004": (range(1, 14), [1]),
}


def rows_of_the_papers():
    """(paper, ``fig.`` or ``table``, its numbers, studies, {rule: its files}) of the table of all figures and tables."""
    text = PROSE[ROOT / "docs" / "papers.md"].partition("## Every figure and table")[2]
    for line in re.findall(r"^\| (00.*) \|$", text, re.M):
        paper, what, studies, made_by = line.split(" | ")
        kind, _, numbers = what.partition(" ")
        rules = {
            rule: re.findall(r"`([^`]*)`", files)
            for rule, files in re.findall(r"`(\w+)`: ((?:`[^`]*`(?:, )?)+)", made_by)
        }
        rules = {rule: [file for file in files if "." in file] for rule, files in rules.items()}
        yield paper, kind, numbers.split(", "), re.findall(r"\[(\w+)\]", studies), rules


def test_every_figure_and_table_of_the_papers_is_accounted_for():
    found = {paper: ([], []) for paper in PRINTED}
    for paper, kind, numbers, _, _ in rows_of_the_papers():
        found[paper][kind == "table"].extend(numbers)
    found = {paper: [sorted(kind) for kind in kinds] for paper, kinds in found.items()}
    assert found == {paper: [sorted(map(str, kind)) for kind in kinds] for paper, kinds in PRINTED.items()}


def test_files_of_the_papers_figures_are_made_by_their_rules():
    made, wrong = 0, []
    for paper, kind, numbers, studies, rules in rows_of_the_papers():
        for name in studies:
            study = Study(load(ROOT / "experiments" / f"{name}.yaml"))
            has = items(study)
            for rule, files in rules.items():
                variants = has[rule].variants(study) if rule in has else []
                patterns = {**has[rule].writes, **has[rule].writes_besides(study)}.values() if rule in has else []
                paths = [study.pattern(pattern, **variant) for pattern in patterns for variant in variants]
                made += len(files)
                wrong += [
                    (paper, kind, numbers, name, file)
                    for file in files
                    if not any(p.endswith(f"/{file}") for p in paths)
                ]
    assert wrong == [] and made > 60


@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_method_and_function_stands_in_the_guide(task):
    explained = set(re.findall(r"`(\w+)`", PROSE[ROOT / "docs" / "methods.md"]))
    task = tasks.find(task)
    known = {*task.methods, *methods.available("score", task), *methods.available("select", task)}
    assert known - explained == set()


def test_every_guide_is_reached_from_the_readme():
    linked = set(re.findall(r"\]\(docs/([\w.]+)\)", PROSE[ROOT / "README.md"]))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= linked


@pytest.mark.parametrize("page", ["README.md", "docs/studies.md"])
def test_printed_study_is_valid(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data/raw/leaves").mkdir(parents=True)
    (study,) = re.findall(r"```yaml\n(study:.*?)```", (ROOT / page).read_text(), re.S)
    config = load(yaml.safe_load(study))
    assert list(config["methods"])[:2] == ["random", "entropy"]
