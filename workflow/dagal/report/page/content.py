"""What stands on the page: the sections of each study as plain data, and the template filled with them."""

import json
import re
from inspect import cleandoc
from pathlib import Path

import altair as alt
import jinja2
import numpy as np
import pandas as pd
from altair.utils.schemapi import debug_mode

from dagal.report import palette, tables
from dagal.report.figures.learning_curves import labels_of
from dagal.report.page import charts, gallery
from dagal.report.page import results as reading
from dagal.report.page.results import Results
from dagal.report.registry import ITEMS
from dagal.report.statistics import MIN_SEEDS

TEMPLATES = Path(__file__).parent
# figures that the page draws itself
REDRAWN = ("learning_curves", "gains", "class_distribution", "informativeness", "selected", "selection_costs")
PICTURE_BYTES = 900_000  # of all figures that are shown as they are
PICTURE_SIDE = 1000  # pixels
VERDICTS = ("bad", "warning")
NAMES = {"mean_ap": "mean AP", "mean_iou": "mean IoU"}  # of measures that are not spelled as their columns
POINTS = (
    "difference",
    "sd",
    "detectable",
    "training_sd",
    "seed_sd",
    "difference_sd",
    "accuracy",
)  # fractions of the measure
COMPARED = ("ranks", "break_even", "transfer")  # tables of a comparison


def page(folders: list[Path], beside: Path) -> dict:
    """All that the template shows: the studies with their sections, and the looks of all their methods."""
    studies = [reading.read(folder) for folder in folders]
    methods = {}
    for study in studies:
        methods |= {name: about for name, about in study.methods.items() if name not in methods}
    looks = charts.looks(methods)
    names = [study.name for study in studies]
    ids = [name if names.count(name) == 1 else f"{name}-{k}" for k, name in enumerate(names, 1)]
    with debug_mode(False):  # checking each part of a chart takes a third of the time; a test draws them all
        found = [
            sections(study, looks, len(studies)) | {"name": name} for study, name in zip(studies, ids, strict=True)
        ]
    compared = {
        name: tables.read(beside / f"{name}.csv")
        for name in COMPARED
        if len(studies) > 1 and (beside / f"{name}.csv").exists()
    }
    ranks = compared.get("ranks")
    if ranks is not None and ranks.get("critical_difference", pd.Series(dtype=float)).notna().any():
        half = ranks["critical_difference"] / 2
        frame = pd.DataFrame(
            {
                "method": ranks["method"],
                "mean": ranks["rank"],
                "low": ranks["rank"] - half,
                "high": ranks["rank"] + half,
            }
        )
        text = "; ".join(f"{row.method} {row.mean:.2f}" for row in frame.itertuples())
        spec = charts.styled(charts.intervals(frame, looks, "mean rank (1: best)"), 34 * len(frame) + 20)
        found[0]["charts"]["ranks"] = {"spec": spec, "alt": f"Mean ranks over the data sets: {text}."}
    return {
        "title": found[0]["name"] if len(found) == 1 else f"{len(found)} studies",
        "studies": found,
        "compared": [(name.replace("_", " "), as_rows(table)) for name, table in compared.items()],
        "looks": [look | {"deployable": bool(methods[look["method"]]["deployable"])} for look in looks],
        "light": charts.LIGHT,
        "dark": charts.DARK,
    }


def rendered(page: dict, programs: str) -> str:
    """The page as HTML, with its style, its script and the programs that draw in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    data = {
        "looks": page["looks"],
        "light": page["light"],
        "charts": {
            f"{study['name']}-{key}": chart["spec"]
            for study in page["studies"]
            for key, chart in study["charts"].items()
        },
        "galleries": {study["name"]: study["gallery"] for study in page["studies"] if study["gallery"]},
    }
    texts = {name: (TEMPLATES / f"page.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    # within a script nothing may look like the end of it
    inline = json.dumps(data, allow_nan=False, separators=(",", ":"), default=plain).replace("<", "\\u003c")
    return environment.get_template("page.html").render(
        **page, data=inline, programs=programs.replace("</script", "<\\/script"), **texts
    )


def plain(value):
    """NumPy's numbers as those of JSON."""
    return value.item()


def sections(study: Results, looks: list[dict], number: int) -> dict:
    """The sections of a study; of ``number`` studies on a page each has its share of the room for pictures."""
    models = reading.in_percent(study)
    curves = reading.curves(models)
    rows = reading.summary(study)
    own = [look for look in looks if look["method"] in study.methods]
    figures_drawn = drawn(study, models, curves, rows, own)
    if number > 1:  # the curves again, beside those of the other studies
        curve = figures_drawn["curve"]
        figures_drawn["overview"] = curve | {"spec": curve["spec"] | {"height": 240}}
    return {
        "name": study.name,
        "about": about(study),
        "findings": findings(study, rows),
        "checks": checks(study),
        "measure": named(study.measure),
        "summary": rows,
        "learners": len({row["learner"] for row in rows}) > 1,
        "charts": figures_drawn,
        "published": as_rows(published(study)),
        "power": in_points(study.table("power")),
        "spread": in_points(study.table("training_spread")),
        "needed": as_rows(needed(study)),
        "speed": as_rows(study.table("speed")),
        "told_apart": as_rows(told_apart(study)),
        "gpu": as_rows(gpu_use(study)),
        "gallery": gallery.gallery(study, gallery.BYTES // number),
        "figures": figures(study.folder, PICTURE_BYTES // number),
        "paper": described(study.about.get("described", "")),
        "settings": json.dumps(study.settings, indent=1, sort_keys=True),
        "versions": versions(study.about),
    }


def published(study: Results) -> pd.DataFrame | None:
    """published.csv in percent or points; None where the study has no such table."""
    table = study.table("published")
    if table is None:
        return None
    order = ["source", "measure", "method", "learner", "labels", "published", "measured", "se", "difference", "seeds"]
    table = table.assign(measure=table["measure"].str.replace("_", " "))
    table = table.assign(**{name: 100 * table[name] for name in ("published", "measured", "se", "difference")})
    return table[[*order, "measured_labels"]].rename(columns={"measured_labels": "measured at"})


def needed(study: Results) -> pd.DataFrame | None:
    """Mean labels that each method (row) needs for each level of performance (column); None where the study has no such table."""
    table = study.table("labels_needed")
    if table is None:
        return None
    order = dict.fromkeys(table["method"])
    found = table.pivot(index="method", columns=study.measure, values="labels").loc[list(order)]
    return found.rename(columns=lambda level: f"{100 * level:.0f} %").round().reset_index()


def told_apart(study: Results) -> pd.DataFrame | None:
    """The area under the ROC curve of the discriminator behind each query, of a method (row) in a cycle (column), mean over the seeds."""
    table = study.table("adversary_auc")
    if table is None:
        return None
    order = dict.fromkeys(table["method"])
    found = table.pivot_table("auc", "method", "cycle").reindex(list(order)).round(3)
    return found.rename(columns=lambda cycle: f"query {cycle}").reset_index()


def gpu_use(study: Results) -> pd.DataFrame | None:
    """Of each kind of job and GPU the number of jobs, their mean seconds and the largest memory; None where no job used one."""
    table = study.table("costs")
    if table is None or "gpu" not in table or table["gpu"].isna().all():
        return None
    found = table.groupby(["rule", "gpu"], sort=False)
    found = found.agg(
        jobs=("seconds", "size"), mean_seconds=("seconds", "mean"), peak_memory_MB=("gpu_memory_mb", "max")
    )
    return found.reset_index().rename(columns={"rule": "job", "gpu": "GPU"})


def named(measure: str) -> str:
    """A measure of performance as it is written in a text."""
    return NAMES.get(measure, measure.replace("_", " "))


def about(study: Results) -> list[tuple[str, str]]:
    """The study in a few words."""
    settings, metrics = study.settings, study.metrics
    seeds = metrics["seed"].nunique()
    labels = metrics.groupby("cycle")["labels"].mean()
    return [
        ("data", settings["dataset"]["name"]),
        ("task", settings["task"]),
        ("methods", str(len(study.methods))),
        ("labels", f"{labels.iloc[0]:,.0f} to {labels.iloc[-1]:,.0f}"),
        ("labels a cycle", f"{settings['budget']:,}"),
        ("seeds", str(seeds)),
    ]


def findings(study: Results, rows: list[dict]) -> list[str]:
    """What the table says in words, with what the number of seeds lets one say."""
    known = [row for row in rows if row["final"] and row["deployable"]]
    if not known:
        return []
    best = max(known, key=lambda row: row["final"][0])
    measure = named(study.measure)
    mean, low, high = best["final"]
    interval = f" (95 % interval {low:.1f} to {high:.1f})" if low is not None else ""
    sentences = [f"Highest after {best['labels']:,.0f} labels: {best['method']}, {measure} {mean:.1f} %{interval}."]
    baseline = next((row for row in rows if row["method"] == palette.REFERENCE and row["final"]), None)
    if baseline and baseline is not best:
        gain = mean - baseline["final"][0]
        saved = f", and {best['saved'][0]:,.0f} labels saved" if best["saved"] and round(best["saved"][0]) else ""
        sentences.append(f"That is {gain:+.1f} points over {baseline['method']}{saved}.")
    seeds = min(row["seeds"] for row in rows)
    if seeds == 1:
        sentences.append("With one seed nothing tells such a difference from chance.")
    elif seeds < MIN_SEEDS:
        sentences.append(
            f"With {seeds} seeds no test can call a difference significant at .05 ({MIN_SEEDS} are the fewest): read the intervals."
        )
    return sentences


def checks(study: Results) -> list[dict]:
    """The checks that a study does not pass, the worst first."""
    table = study.table("checks")
    if table is None:
        return []
    table = table[table["verdict"].isin(VERDICTS)].sort_values(
        "verdict", key=lambda column: column.map(VERDICTS.index), kind="stable"
    )
    return table.fillna("").to_dict("records")


def versions(about: dict) -> list[tuple[str, str]]:
    """What study.json says besides the settings and the digests of code, on lines."""

    def lines(key: str, value):
        if isinstance(value, dict):
            for name, one in value.items():
                yield from lines(f"{key}, {name}" if key else str(name), one)
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            for number, one in enumerate(value, 1):
                yield from lines(f"{key} {number}", one)
        elif isinstance(value, list):
            yield key, ", ".join(map(str, value))
        else:
            yield key, "" if value is None else str(value)

    shown = {key: value for key, value in about.items() if key not in ("settings", "described", "checksum")}
    return [(key.replace("_", " "), value) for key, value in lines("", shown)]


def described(text: str) -> list[tuple[str, list[str]]]:
    """The comment at the head of a study's file as (kind, lines): paragraphs ``p`` and lists ``ul``."""
    found = []
    for line in text.splitlines():
        if line.startswith("- "):
            if not found or found[-1][0] != "ul":
                found.append(("ul", []))
            found[-1][1].append(line[2:].strip())
        elif line.startswith("  ") and found and found[-1][0] == "ul":
            found[-1][1][-1] += " " + line.strip()
        elif not line.strip():
            found.append(("p", []))
        elif re.match(r"[A-Z][\w ]+:|Where ", line) or not found or found[-1][0] != "p":
            found.append(("p", [line.strip()]))
        else:
            found[-1][1].append(line.strip())
    return [(kind, lines if kind == "ul" else [" ".join(lines)]) for kind, lines in found if lines]


def as_rows(table: pd.DataFrame | None) -> dict | None:
    """A table as names of columns and cells of text; None if there is none."""
    if table is None or table.empty:
        return None
    return {
        "columns": [name.replace("_", " ") for name in table.columns],
        "rows": [[text_of(value) for value in row] for row in table.itertuples(index=False)],
    }


def in_points(table: pd.DataFrame | None) -> dict | None:
    """`as_rows` of a table whose fractions of the measure become points (hundredths)."""
    if table is None:
        return None
    scaled = [name for name in POINTS if name in table]
    table = table.assign(**{name: 100 * table[name] for name in scaled})
    return as_rows(table.rename(columns={name: f"{name}, points" for name in scaled}))


def text_of(value) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:,.4g}"
    return str(value)


# ------------------------------------------------------------------------------------------------------------ figures


def drawn(
    study: Results, models: pd.DataFrame, curves: pd.DataFrame, rows: list[dict], looks: list[dict]
) -> dict[str, dict]:
    """The interactive figures that a study has: the ``spec`` of each as Vega-Lite, ``alt``, a text instead of it, and what its buttons need."""
    methods = [look["method"] for look in looks]
    listed, found = ", ".join(methods), {}

    def add(key: str, chart: alt.Chart, height: int, text: str, **further) -> None:
        found[key] = {"spec": charts.styled(chart, height), "alt": text, **further}

    printed = published_points(study)
    ends = "; ".join(f"{row['method']} {row['final'][0]:.1f} %" for row in rows if row["final"])
    add(
        "curve",
        charts.learning_curves(curves, models, looks, titles(study), full_lines(study), printed),
        380,
        f"Learning curves: {named(study.measure)} against labeled images. At the end: {ends}.",
        has_bands=bool(curves["value_sd_low"].notna().any()),
        has_gain=bool(curves["gain_mean"].notna().any()),
        has_full=bool(curves["full_mean"].notna().any()),
        has_published=printed is not None,
    )
    ends = ("mean", "low", "high")
    saved = pd.DataFrame(
        [{"method": row["method"], **dict(zip(ends, row["saved"], strict=True))} for row in rows if row["saved"]]
    )
    if len(saved):
        saved = saved.astype(dict.fromkeys(ends, float))
        text = "; ".join(f"{row.method} {row.mean:.0f}" for row in saved.itertuples())
        chart = charts.intervals(saved, looks, "labels fewer than random")
        add("saved", chart, 34 * len(saved) + 20, f"Labels saved against random: {text}.")
    pairwise = study.table("pairwise")
    if pairwise is not None:
        of_tests = bool(pairwise["ppm"].notna().any())
        text = "Matrix of methods: how often, or how probably, that of the row beats that of the column."
        add("pairs", wins(pairwise, methods, of_tests), 34 * len(methods) + 20, text, of_tests=of_tests)
    if "l1_score" in study.metrics and study.metrics["l1_score"].notna().any():
        balance = study.metrics.groupby(["method", "cycle"], sort=False)["l1_score"].mean().reset_index(name="mean")
        x = alt.X("cycle:O", title="cycle", axis=alt.Axis(labelAngle=0, grid=False))
        chart = charts.lines(balance, looks, x, "imbalance of the labels (0 balanced, 1 one class)")
        add("imbalance", chart, 240, f"Imbalance of the labeled set over the cycles, of {listed}.")
    shares = class_shares(study)
    if shares is not None:
        height = 24 * shares["class_name"].nunique() + 20
        add(
            "classes",
            charts.classes(shares),
            height,
            "Labels of each class in every cycle, of one method.",
            methods=methods,
        )
    curve = study.table("informativeness")
    if curve is not None:
        mean = curve.groupby(["method", "share"], sort=False)["accuracy"].mean().mul(100).reset_index(name="mean")
        mean["share"] = (100 * mean["share"]).round().astype(int)
        x = alt.X("share:Q", title="highest-scored part of the pool, %", axis=alt.Axis(grid=False))
        chart = charts.lines(mean[mean["share"] % 2 == 0], looks, x, "accuracy of the first model there, %", dense=True)
        text = f"Accuracy of the first model on what {listed} score highest: lower means more informative."
        add("informativeness", chart, 280, text)
    common = reading.overlap(study)
    if len(common) > 1:
        most = max(20, float(common.loc[common["method"] != common["other"], ["first", "all"]].max().max()))
        chart = charts.pairs(common, methods, "datum['all']", ".0f", "% in common", charts.upwards(most))
        text = f"Share of the queried images that two methods have in common, of {listed}."
        add("overlap", chart, 34 * len(methods) + 20, text)
    costs = study.table("selection_costs")
    if costs is not None:
        text = "Seconds of a query by method: start-up of its jobs, and what each 1,000 images of the pool cost."
        add("costs", charts.costs(query_costs(costs)), 30 * costs["method"].nunique() + 30, text)
    jobs = reading.jobs(study)
    if len(jobs):
        order = [*sorted(set(jobs["branch"]) - set(methods)), *methods]
        text = f"Time line of {len(jobs)} jobs in {jobs['end'].max():.1f} minutes, a row for each method."
        height = 26 * jobs["branch"].nunique() + 30
        add("times", charts.time_line(jobs, order), height, text, partial=len(jobs) == reading.MOST_JOBS)
    return found


def wins(table: pd.DataFrame, methods: list[str], of_tests: bool) -> alt.Chart:
    """pairwise.csv as a matrix: the share of the cycles with a significant win, or, of too few seeds, how probable it is to be better."""
    percent = {name: 100 * table[name] for name in ("difference", "low", "high", "ppm_holm")}
    field = "ppm" if of_tests else "better"
    shown = table[["method", "other", field]].assign(**percent)
    told = [
        charts.number("difference", "difference of the areas, points", "+.2f"),
        charts.number("low", "from", "+.2f"),
        charts.number("high", "to", "+.2f"),
        *([charts.number("ppm_holm", "% of cycles won after Holm", ".0f")] if of_tests else []),
    ]
    title = "% of cycles won" if of_tests else "% probable to be better"
    return charts.pairs(shown, methods, f"100 * datum.{field}", ".0f", title, charts.upwards(100), tuple(told))


def titles(study: Results) -> dict[str, str]:
    """What stands above the learning curves, whatever they show."""
    _, label = labels_of(study.measure)
    return {"value": f"{label}, %", "gain": "gain over random, points", "full": "percent of what all labels give"}


def full_lines(study: Results) -> pd.DataFrame | None:
    """Horizontal lines of the supervised baselines, in percent."""
    table = study.table("supervised")
    if table is None:
        return None
    mean = table.groupby(["learner", "size"], sort=False)[study.measure].mean().mul(100).reset_index(name="value")
    of = (mean["learner"] + ", ") if mean["learner"].nunique() > 1 else ""
    return mean.assign(label="supervised, " + of + mean["size"] + " labels")[["label", "value"]]


def published_points(study: Results) -> pd.DataFrame | None:
    """published.csv as points of the learning curves, in percent or points; None if no number of it belongs there."""
    table = study.table("published")
    if table is None:
        return None
    views = {study.measure: "value", "error": "value", "gain_over_random": "gain"}
    table = table[(table["method"] != "") & table["measure"].isin(list(views))]
    value = table["published"].where(table["measure"] != "error", 1 - table["published"])
    found = table.assign(value=100 * value, shown=table["measure"].map(views))
    return None if found.empty else found[["method", "source", "labels", "value", "shown"]]


def class_shares(study: Results) -> pd.DataFrame | None:
    """classes.csv as means over the seeds, with the share over the balanced share; None for more classes than can be read."""
    table = study.table("classes")
    if table is None or table["class_name"].nunique() > charts.MOST_CLASSES:
        return None
    mean = table.groupby(["method", "cycle", "class_name"], sort=False)["count"].mean().reset_index()
    total = mean.groupby(["method", "cycle"])["count"].transform("sum")
    return mean.assign(times=mean["count"] / total * mean["class_name"].nunique())


def query_costs(table: pd.DataFrame) -> pd.DataFrame:
    """selection_costs.csv as seconds of the start of the jobs and per 1,000 images, a row for each method and of these."""
    sums = table.groupby("method", sort=False)[["startup_seconds", "seconds_per_1000"]].sum()
    kinds = {"startup_seconds": "start of the jobs", "seconds_per_1000": "per 1,000 images of the pool"}
    return sums.rename(columns=kinds).reset_index().melt("method", var_name="kind", value_name="seconds")


def figures(folder: Path, room: int) -> list[dict]:
    """The other pictures of a study with their captions, as far as there is room; of those without it only the names."""
    found = {}
    for item in map(ITEMS.find, ITEMS):
        for output, label in item.labels.items():
            pattern = item.writes.get(output, "")
            if not pattern.endswith(".png") or Path(pattern).stem in REDRAWN:
                continue
            caption = " ".join(cleandoc(item.caption).split()).replace("*", "").replace("``", "")
            for path in sorted(folder.glob(re.sub(r"\{\w+\}", "*", pattern.removeprefix("{results}/")))):
                title = path.stem.replace("_", " ") if "{" in label else label
                # a name without wildcards comes before one that a pattern happens to match
                if path not in found or "{" not in label:
                    found[path] = {"title": title, "caption": caption, "file": path.name}
    for path, figure in found.items():
        source = picture(path)
        room -= len(source)
        figure["src"] = source if room >= 0 else None
    return list(found.values())


def picture(path: Path) -> str:
    """A picture of a study as a smaller one."""
    from PIL import Image

    with Image.open(path) as image:
        return gallery.data_uri(np.asarray(image.convert("RGB")), PICTURE_SIDE)
