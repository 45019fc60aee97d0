"""The interactive figures of the page, as Vega-Lite by Altair: each function takes frames and returns a chart.

Colours are variables of the style sheet, so that a figure follows the dark or light scheme and paper; `on_paper` puts those for white
paper in their place. The page sets the parameters of a figure by their names: ``hidden`` (methods that are switched off), ``shown``,
``band``, ``seeds`` and ``method``.
"""

import json
import re

import altair as alt
import pandas as pd

from dagal.report import palette

alt.data_transformers.disable_max_rows()
INK = "currentColor"
SHAPES = [
    "square",
    "triangle-up",
    "diamond",
    "triangle-down",
    "cross",
    "triangle-right",
    "triangle-left",
]  # circle: random
DASH = [5, 3]
PARTS = ["training", "signals", "choice", "measurement"]
MOST_CLASSES = 60  # rows of the heat map of classes
HIDDEN = "indexof(hidden, datum.method) < 0"
# the variables of the style sheet, on white paper and on a dark screen
LIGHT = {
    **{f"m{k}": colour for k, colour in enumerate(palette.COLOURS)},
    **dict(zip((f"blue{k}" for k in range(5)), ("#f1f4f8", "#d4e4f3", "#a9cbe9", "#7fb2df", "#5599d4"), strict=True)),
    **dict(zip((f"orange{k}" for k in range(5)), ("#faf6f2", "#fae3d0", "#f4c49d", "#eda56c", "#e5873d"), strict=True)),
    **dict(zip((f"part{k}" for k in range(4)), ("#4477aa", "#66ccee", "#ee6677", "#b5b5b5"), strict=True)),
    **{
        "ref": palette.GREY,
        "ink": "#1b1f24",
        "paper": "#ffffff",
        "line": "#8a9099",
        "grid": "#e6e8eb",
        "grey": "#a9afb7",
    },
}
DARK = {
    **{f"m{k}": colour for k, colour in enumerate(palette.ON_DARK)},
    **dict(zip((f"blue{k}" for k in range(5)), ("#1d2229", "#1d3247", "#204768", "#235d8b", "#2a74ad"), strict=True)),
    **dict(zip((f"orange{k}" for k in range(5)), ("#241f1c", "#47301f", "#6a4022", "#8c5226", "#b0652b"), strict=True)),
    **dict(zip((f"part{k}" for k in range(4)), ("#7aa6d6", "#8fdcf5", "#f58a98", "#7d858f"), strict=True)),
    **{
        "ref": palette.GREY_ON_DARK,
        "ink": "#e6e9ed",
        "paper": "#14171b",
        "line": "#7b838d",
        "grid": "#2a2f36",
        "grey": "#6d757f",
    },
}
BLUES = [f"var(--blue{k})" for k in range(5)]
ORANGES = [f"var(--orange{k})" for k in range(5)]


def looks(methods: dict[str, dict]) -> list[dict]:
    """Colour, symbol and line of each method: those of the other figures as far as colours go.

    ``methods``: as `dagal.report.page.results.Results.methods`.
    """
    return [
        {
            "method": method,
            "colour": "var(--ref)" if rank is None else f"var(--m{rank % len(palette.COLOURS)})",
            "shape": "circle" if rank is None else SHAPES[rank % len(SHAPES)],
            "dash": [] if methods[method]["deployable"] else DASH,
        }
        for method, rank in palette.ranks(list(methods)).items()
    ]


def by_method(channel, looks: list[dict], kind: str, legend=None):
    """A channel whose values are the ``colour``, ``shape`` or ``dash`` of each method; the page has a legend of its own."""
    scale = alt.Scale(domain=[look["method"] for look in looks], range=[look[kind] for look in looks])
    return channel("method:N", scale=scale, legend=legend, title=None)


def number(name: str, title: str, form: str = ".1f") -> alt.Tooltip:
    return alt.Tooltip(f"{name}:Q", title=title, format=form)


def styled(chart: alt.Chart, height: int | None = 320) -> dict:
    """The chart as Vega-Lite, as wide as its place, in the look of the page."""
    if height:
        chart = chart.properties(width="container", height=height)
    found = (
        chart.configure(background="transparent", font="system-ui, sans-serif", padding=4)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            domainColor="var(--line)",
            tickColor="var(--line)",
            gridColor="var(--grid)",
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=150,
        )
        .configure_view(stroke=None)
        .configure_title(color=INK, fontSize=12, fontWeight="normal", anchor="start", offset=10)
        .configure_legend(labelColor=INK, titleColor=INK, labelFontSize=12, labelLimit=0)
    )
    return found.to_dict(validate=False)  # the parts are checked when they are made


def hidden() -> alt.Parameter:
    return alt.param(name="hidden", value=[])


def learning_curves(
    curves: pd.DataFrame,
    models: pd.DataFrame,
    looks: list[dict],
    titles: dict[str, str],
    full: pd.DataFrame | None = None,
    published: pd.DataFrame | None = None,
    legend=None,
) -> alt.Chart:
    """Performance against labels; ``shown`` chooses one of ``titles``, ``band`` (sd, ci or none) what is shaded, ``seeds`` single chains.

    ``curves`` and ``models``: as `dagal.report.page.results` makes them; ``full``: label and value of horizontal lines; ``published``:
    method, source, labels, value and in which of ``titles`` it belongs (``shown``) of hollow points.
    """
    params = [
        hidden(),
        alt.param(name="shown", value="value"),
        alt.param(name="band", value="sd"),
        alt.param(name="seeds", value=False),
        alt.param(name="titles", value=titles),
    ]
    colour = by_method(alt.Color, looks, "colour", legend)
    x = alt.X(
        "labels:Q",
        title="labeled images",
        scale=alt.Scale(zero=False, nice=False, padding=12),
        axis=alt.Axis(grid=False, format=",.0f", tickCount=8),
    )
    y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6))
    means = (
        alt.Chart(curves)
        .transform_filter(HIDDEN)
        .transform_calculate(
            y="datum[shown + '_mean']",
            low="band == 'none' ? null : datum[shown + '_' + band + '_low']",
            high="band == 'none' ? null : datum[shown + '_' + band + '_high']",
            interval="isValid(datum[shown + '_ci_low']) ? format(datum[shown + '_ci_low'], '.1f') + ' to ' + format(datum[shown + '_ci_high'], '.1f') : 'one seed'",
        )
        .transform_filter("isValid(datum.y)")
    )
    single = (
        alt.Chart(models)
        .transform_filter(HIDDEN)
        .transform_calculate(y="datum[shown]")
        .transform_filter("isValid(datum.y)")
    )
    tooltip = [
        alt.Tooltip("method:N"),
        number("labels", "labels", ",.0f"),
        number("y", "mean", ".2f"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]
    layers = [
        single.mark_line(strokeWidth=0.8, opacity=alt.expr("seeds ? 0.6 : 0")).encode(
            x, y, color=colour, detail="seed:N"
        ),
        means.mark_line(strokeWidth=2).encode(
            x, y, color=colour, strokeDash=by_method(alt.StrokeDash, looks, "dash", legend)
        ),
        means.mark_point(filled=True, size=70, opacity=1, stroke="var(--paper)", strokeWidth=0.7).encode(
            x, y, color=colour, shape=by_method(alt.Shape, looks, "shape", legend), tooltip=tooltip
        ),
    ]
    if curves["value_sd_low"].notna().any():  # else there is one seed
        layers.insert(
            0,
            means.transform_filter("isValid(datum.low)")
            .mark_area(opacity=0.1)
            .encode(x, y=alt.Y("low:Q"), y2="high:Q", color=colour),
        )
    if full is not None:
        # where it does not belong it lies unseen on a value that is there in any case
        lines = alt.Chart(full).transform_calculate(y="{value: datum.value, gain: 0, full: 100}[shown]")
        seen = alt.expr("shown == 'value' ? 1 : 0")
        y = alt.Y("y:Q")
        tooltip = ["label:N", number("value", "mean", ".2f")]
        layers += [
            lines.mark_rule(strokeDash=[2, 3], color=INK, opacity=seen).encode(y=y, tooltip=tooltip),
            lines.mark_text(align="left", dx=4, dy=-6, color=INK, fontSize=11, opacity=seen).encode(
                y=y, x=alt.value(0), text="label:N"
            ),
        ]
    if published is not None:
        tooltip = ["method:N", "source:N", number("labels", "labels", ",.0f"), number("value", "published", ".2f")]
        # as above: one that does not belong is nothing, where a curve is
        means_of = {name: curves[f"{name}_mean"].dropna().head(1).tolist() for name in titles}
        layers.append(
            alt.Chart(published)
            .transform_calculate(y=f"datum.shown == shown ? datum.value : {json.dumps(means_of)}[shown][0]")
            .mark_point(filled=False, opacity=1, strokeWidth=1.8)
            .encode(
                x,
                alt.Y("y:Q"),
                color=colour,
                shape=by_method(alt.Shape, looks, "shape", legend),
                size=alt.condition(f"datum.shown == shown && {HIDDEN}", alt.value(110), alt.value(0)),
                tooltip=tooltip,
            )
        )
    return alt.layer(*layers, title=alt.TitleParams(text=alt.expr("titles[shown]"))).add_params(*params)


def intervals(frame: pd.DataFrame, looks: list[dict], title: str) -> alt.Chart:
    """``frame``: method, mean, low, high: a point and its interval for each method, and a line at 0."""
    base = alt.Chart(frame).transform_filter(HIDDEN)
    y = alt.Y(
        "method:N",
        sort=alt.EncodingSortField("mean", order="descending"),
        title=None,
        axis=alt.Axis(grid=False, ticks=False, domain=False),
    )
    colour = by_method(alt.Color, looks, "colour")
    tooltip = ["method:N", number("mean", "mean"), number("low", "from"), number("high", "to")]
    x = alt.X("mean:Q", title=title, axis=alt.Axis(tickCount=8))
    layers = [
        alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=INK, opacity=0.6).encode(x="zero:Q"),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            x, y, color=colour, shape=by_method(alt.Shape, looks, "shape"), tooltip=tooltip
        ),
    ]
    if frame["low"].notna().any():
        known = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2)
        layers.insert(1, known.encode(alt.X("low:Q", title=title), y, x2="high:Q", color=colour, tooltip=tooltip))
    return alt.layer(*layers).add_params(hidden())


def around(middle: float, step: float) -> alt.Scale:
    """Orange below, blue above, in steps that are wider farther out."""
    steps = [0.5 * step, 1.5 * step, 3 * step]
    domain = [*(middle - width for width in reversed(steps)), *(middle + width for width in steps)]
    return alt.Scale(type="threshold", domain=domain, range=[*reversed(ORANGES[1:4]), *BLUES[:4]])


def upwards(most: float) -> alt.Scale:
    """From almost white at 0 to blue, in equal steps."""
    return alt.Scale(type="quantize", domain=[0, most], range=BLUES)


def pairs(
    frame: pd.DataFrame, methods: list[str], value: str, form: str, title: str, scale: alt.Scale, tooltip: tuple = ()
) -> alt.Chart:
    """``frame``: method, other, and what the expression ``value`` takes of a pair: a matrix of the methods with its numbers."""
    base = (
        alt.Chart(frame)
        .transform_filter(HIDDEN)
        .transform_filter("indexof(hidden, datum.other) < 0")
        .transform_calculate(cell=value)
    )
    bare = {"grid": False, "ticks": False, "domain": False}
    x = alt.X("other:N", sort=methods, title=None, axis=alt.Axis(orient="top", labelAngle=-40, **bare))
    y = alt.Y("method:N", sort=methods, title=None, axis=alt.Axis(**bare))
    told = ["method:N", "other:N", alt.Tooltip("cell:Q", title=title, format=form), *tooltip]
    return alt.layer(
        base.mark_rect(cornerRadius=2).encode(x, y, color=alt.Color("cell:Q", scale=scale, legend=None), tooltip=told),
        base.mark_text(color=INK, fontSize=11).encode(x, y, text=alt.Text("cell:Q", format=form)),
    ).add_params(hidden())


def lines(frame: pd.DataFrame, looks: list[dict], x: alt.X, y_title: str, dense: bool = False) -> alt.Chart:
    """``frame``: method, the field of ``x``, ``mean``: a line for each method; of a ``dense`` one the points are not seen."""
    base = alt.Chart(frame).transform_filter(HIDDEN)
    colour = by_method(alt.Color, looks, "colour")
    y = alt.Y("mean:Q", title=None, scale=alt.Scale(zero=False))
    drawn = base.mark_line(strokeWidth=2).encode(
        x, y, color=colour, strokeDash=by_method(alt.StrokeDash, looks, "dash")
    )
    points = base.mark_point(filled=True, size=50, opacity=0 if dense else 1).encode(
        x,
        y,
        color=colour,
        shape=by_method(alt.Shape, looks, "shape"),
        tooltip=["method:N", x.shorthand, number("mean", y_title, ".2f")],
    )
    return alt.layer(drawn, points, title=alt.TitleParams(text=y_title)).add_params(hidden())


def classes(frame: pd.DataFrame) -> alt.Chart:
    """``frame``: method, cycle, class_name, ``times`` (share of the labels over the balanced share) and count; ``method`` chooses one."""
    order = list(dict.fromkeys(frame["class_name"]))
    base = alt.Chart(frame).transform_filter("datum.method == method")
    x = alt.X("cycle:O", title="cycle", axis=alt.Axis(labelAngle=0, grid=False, ticks=False, domain=False))
    y = alt.Y("class_name:N", sort=order, title=None, axis=alt.Axis(grid=False, ticks=False, domain=False))
    tooltip = [
        "method:N",
        "class_name:N",
        "cycle:O",
        number("count", "labels, mean", ",.1f"),
        number("times", "times the balanced share", ".2f"),
    ]
    return alt.layer(
        base.mark_rect(cornerRadius=2).encode(
            x, y, color=alt.Color("times:Q", scale=around(1, 0.2), legend=None), tooltip=tooltip
        ),
        base.mark_text(color=INK, fontSize=11).encode(x, y, text=alt.Text("count:Q", format=",.0f")),
    ).add_params(alt.param(name="method", value=frame["method"].iloc[0]))


def costs(frame: pd.DataFrame) -> alt.Chart:
    """``frame``: method, kind (start-up, or per 1,000 images) and seconds of a query, the sum over its jobs."""
    y = alt.Y(
        "method:N",
        sort=list(dict.fromkeys(frame["method"])),
        title=None,
        axis=alt.Axis(grid=False, ticks=False, domain=False),
    )
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(dict.fromkeys(frame["kind"])), range=["var(--grey)", "var(--blue3)"]),
        title=None,
        legend=alt.Legend(orient="top", columns=1),
    )
    tooltip = ["method:N", "kind:N", number("seconds", "seconds", ".3f")]
    return (
        alt.Chart(frame)
        .transform_filter(HIDDEN)
        .mark_bar(cornerRadius=2)
        .encode(
            alt.X("seconds:Q", title="seconds of a query", axis=alt.Axis(tickCount=8)), y, color=colour, tooltip=tooltip
        )
        .add_params(hidden())
    )


def time_line(jobs: pd.DataFrame, order: list[str]) -> alt.Chart:
    """``jobs``: as `dagal.report.page.results.jobs`: a bar for each, in the row of its branch."""
    y = alt.Y("branch:N", sort=order, title=None, axis=alt.Axis(grid=False, ticks=False, domain=False))
    colour = alt.Color(
        "part:N",
        scale=alt.Scale(domain=PARTS, range=[f"var(--part{k})" for k in range(len(PARTS))]),
        title=None,
        legend=alt.Legend(orient="top", columns=2),
    )
    tooltip = [
        "branch:N",
        "job:N",
        "seed:Q",
        "cycle:Q",
        number("start", "began, min", ".2f"),
        alt.Tooltip("seconds:Q", format=".2f"),
    ]
    return (
        alt.Chart(jobs)
        .transform_calculate(seconds="60 * (datum.end - datum.start)")
        .mark_bar(height={"band": 0.7}, opacity=0.85)
        .encode(
            alt.X("start:Q", title="minutes after the first job began", axis=alt.Axis(tickCount=10)),
            y,
            x2="end:Q",
            color=colour,
            tooltip=tooltip,
        )
    )


# -------------------------------------------------------------------------------------------------------------- paper


def on_paper(chart: dict, width: int = 420) -> dict:
    """The chart with the colours for white paper written out, for a file of its own."""
    text = re.sub(r"var\(--(\w+)\)", lambda found: LIGHT[found[1]], json.dumps(chart | {"width": width}))
    return json.loads(text.replace(INK, LIGHT["ink"]))
