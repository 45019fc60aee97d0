"""The documentation against the repository: links, experiments and methods that it names."""

import re
from pathlib import Path

import pytest
import yaml

from dagal import tasks
from dagal.acquisition import methods
from dagal.config import load

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
