"""The page of a study, results/<study>/report/index.html: one file that needs no network. Written for several studies as well."""

from pathlib import Path

from dagal import artifacts, storage
from dagal.report.item import Item

FILES = ("page.html", "page.css", "page.js")


def make(job):
    write([Path(job.input.metrics).parent], Path(job.output.page))


def write(folders: list[Path], out: Path) -> None:
    """Write the page of the studies whose results lie in these folders; tables of a comparison that lie beside ``out`` are shown.

    Raises UserError if a folder holds no results.
    """
    from dagal.report.page import content, vega

    page = content.page([Path(folder) for folder in folders], Path(out).parent)
    artifacts.write_text(out, content.rendered(page, vega.bundle()))


def reads(study, at):
    """All tables and pictures that the study has, and, of the first seed, what it asked for and the images behind."""
    from dagal.report import registry

    made = [path for path in registry.targets(study, but=("page",)) if not path.startswith(f"{study.results}/report/")]
    queries = [
        study.path(study.node(study.seeds[0], method, cycle), "query")
        for method in study.methods
        for cycle in study.cycles[1:]
    ]
    return {
        "metrics": study.table("metrics"),
        "tables": [path for path in made if path.endswith(".csv")],
        "pictures": [path for path in made if path.endswith(".png")],
        "queries": queries,
        "images": study.images(study.seeds[0]),
        "truth": [] if study.by_person else study.truth,
        "stop_records": study.stop_records(),
    }


def look() -> str:
    """Tells one version of the template, style and script from another."""
    return artifacts.params_hash({name: storage.read_bytes(Path(__file__).with_name(name)).decode() for name in FILES})


ITEM = Item(
    make=make,
    reads=reads,
    writes={"page": "{results}/report/index.html"},
    settings=lambda study, at: {"look": look()},
    caption="""
    Curves, tables, queried images, costs and settings of the study on one page that can be sorted, filtered and read without a network.
    """,
    category="Results",
    labels={"page": "page of the study"},
    environment="analysis",
)
