"""metrics.csv and summary.csv -> what goes into a paper: the learning curves as SVG and PDF with their data, and a table in LaTeX."""

import re
from pathlib import Path

from dagal import artifacts, storage
from dagal.report import tables
from dagal.report.item import Item

SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    c: f"\\{c}" for c in "&%$#_{}"
}


def make(job):
    import altair as alt
    import vl_convert

    from dagal.report.page import charts, content, results

    study = results.read(Path(job.input.metrics).parent)
    models = results.in_percent(study)
    curves = results.curves(models)
    chart = charts.learning_curves(
        curves,
        models,
        charts.looks(study.methods),
        content.titles(study),
        content.full_lines(study),
        legend=alt.Legend(symbolSize=70),
    )
    drawn = charts.on_paper(charts.styled(chart, 280))
    artifacts.write_text(job.output.svg, vl_convert.vegalite_to_svg(drawn))
    storage.write_bytes(job.output.pdf, in_order(vl_convert.vegalite_to_pdf(drawn)))
    tables.write(job.output.data, curves, "%.6g")
    rows = results.summary(study)
    artifacts.write_text(job.output.latex, latex(rows, content.named(study.measure)))


def in_order(pdf: bytes) -> bytes:
    """The PDF with the entries of its resources sorted, which svg2pdf writes in another order each time.

    They are lines such as ``/xo0 8 0 R``; sorted, they take the same bytes, so the offsets that the file ends with stay true. A PDF with
    several fonts still differs from run to run, in the numbers of its objects.
    """
    return re.sub(
        rb"(?: +/[a-z]+\d+ \d+ 0 R\n){2,}", lambda run: b"".join(sorted(run[0].splitlines(keepends=True))), pdf
    )


def latex(rows: list[dict], measure: str) -> str:
    """`dagal.report.page.results.summary` as a table for the package booktabs: percent, with half the width of the 95 % interval."""
    number = {row["seeds"] for row in rows}
    seeds = str(max(number)) if len(number) == 1 else f"{min(number)} to {max(number)}"
    of_seeds = "1 seed" if seeds == "1" else f"mean of {seeds} seeds, +- half of the 95 % interval"
    lines = [
        f"% {of_seeds}; needs \\usepackage{{booktabs}}",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        rf"method & {escaped(measure)} (\%) & AUBC (\%) & labels saved \\",
        r"\midrule",
    ]
    for row in rows:
        name = escaped(row["method"]) + ("" if row["deployable"] else r"$^\dagger$")
        lines.append(" & ".join([name, value(row["final"], 1), value(row["aubc"], 1), value(row["saved"], 0)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if not all(row["deployable"] for row in rows):
        lines.append(r"% \dagger: reads the hidden labels, an upper bound that cannot be deployed")
    return "\n".join(lines) + "\n"


def value(cell: tuple | None, digits: int) -> str:
    if cell is None:
        return "--"
    mean, low, high = cell
    half = "" if low is None else rf" \pm {(high - low) / 2:.{digits}f}"
    return f"${mean:.{digits}f}{half}$"


def escaped(text: str) -> str:
    """Text with what LaTeX would take for commands written as letters."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def reads(study, at):
    further = {"supervised": study.table("supervised")} if study.supervised() else {}
    return {
        "metrics": study.table("metrics"),
        "summary": study.table("summary"),
        "costs": study.table("costs"),
    } | further


ITEM = Item(
    make=make,
    reads=reads,
    writes={
        "svg": "{results}/report/learning_curves.svg",
        "pdf": "{results}/report/learning_curves.pdf",
        "data": "{results}/report/learning_curves.csv",
        "latex": "{results}/report/summary.tex",
    },
    caption="""
    The learning curves as SVG and PDF, their data (means over the seeds, in percent, with the ends of one standard deviation and of the
    95 % t interval), and the summary as a table in LaTeX.
    """,
    category="For a paper",
    labels={
        "svg": "learning curves, SVG",
        "pdf": "learning curves, PDF",
        "data": "data of the learning curves",
        "latex": "summary in LaTeX",
    },
    environment="analysis",
)
