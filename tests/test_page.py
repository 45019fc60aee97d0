"""The page of a study: what it computes, what it holds of made-up results, and how it behaves in Chromium."""

import base64
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, until
from PIL import Image
from scipy import stats
from test_report import run

from dagal import artifacts
from dagal.__main__ import main
from dagal.config import load
from dagal.config.loader import head
from dagal.errors import UserError
from dagal.report import page, publication, tables
from dagal.report.page import content, gallery, results
from dagal.report.registry import ITEMS
from dagal.report.tables.published import beside

METHODS = {"random": True, "entropy": True, "peek": False}
SEEDS, CYCLES, BUDGET = (0, 1), 2, 4
CLASSES = ["cat", "</script><i>dog"]  # a name that must stay text
ORIGIN = artifacts.provenance("test", {})


def accuracy(method, seed, cycle):
    return round(0.5 + 0.1 * cycle * (1 + list(METHODS).index(method)) / 2 + 0.02 * seed, 4)


def asked(method, seed, cycle):
    """Ids of a query: those of entropy and peek overlap by half."""
    first = {"random": 0, "entropy": 20, "peek": 22}[method] + 10 * (cycle - 1)
    return np.arange(first, first + BUDGET) + seed


def made_up(folder, study="pets"):
    """The results folder of a study that nobody ran, with the tables, queries and images that the page reads."""
    at = folder / "results" / study
    settings = load(SMALL | {"study": study, "seeds": list(SEEDS), "budget": BUDGET})
    about = {"dagal_version": "1", "described": "A study.\nPublished: 90 %.\n- deviates\n  here", "settings": settings}
    artifacts.write_json(at / "study.json", about)
    rows = [
        (study, method, "mlp", deployable, seed, cycle, 20 + BUDGET * cycle, accuracy(method, seed, cycle), 0.1 * cycle)
        for method, deployable in METHODS.items() for seed in SEEDS for cycle in range(CYCLES + 1)
    ]  # fmt: skip
    columns = ["study", "method", "learner", "deployable", "seed", "cycle", "labels", "accuracy", "l1_score"]
    tables.write(at / "metrics.csv", pd.DataFrame(rows, columns=columns), "%.6f")
    files = {name: str(at / f"{name}.csv") for name in ("metrics", "summary", "labels_needed")}
    run(ITEMS.find("summary").make, files, files, measure="accuracy", interval="t")
    classes = [(*row[:2], row[3], *row[4:6], name, 10 + k + row[5]) for row in rows for k, name in enumerate(CLASSES)]
    tables.write(
        at / "classes.csv",
        pd.DataFrame(classes, columns=["study", "method", "deployable", "seed", "cycle", "class_name", "count"]),
        "%.6g",
    )
    supervised = pd.DataFrame({"learner": ["mlp"] * 2, "size": ["all"] * 2, "labels": 100, "accuracy": [0.78, 0.82]})
    tables.write(at / "supervised.csv", supervised, "%.6g")
    printed = beside(
        [{"source": "a paper", "measure": "error", "labels": [24], "methods": {"entropy": [0.4]}, "learners": {}}],
        pd.read_csv(at / "metrics.csv"), None, [], "accuracy",
    )  # fmt: skip
    tables.write(at / "published.csv", printed, "%.6g")
    checks = [("chance", "entropy", "ok", "Fine."), ("diverged", "entropy seed 1", "bad", "Its loss is nan.")]
    tables.write(at / "checks.csv", pd.DataFrame(checks, columns=["check", "where", "verdict", "sentence"]), "%s")
    costs = [
        (method, seed, cycle, 3.0, "train", "H100" if seed else None, 100.0 * cycle)
        for method in METHODS
        for seed in SEEDS
        for cycle in range(1, CYCLES + 1)
    ]
    tables.write(
        at / "costs.csv",
        pd.DataFrame(costs, columns=["branch", "seed", "cycle", "seconds", "rule", "gpu", "gpu_memory_mb"]),
        "%.6g",
    )
    data = at.parent / "datasets" / settings["dataset"]["name"]
    rng = np.random.default_rng(0)
    if not data.exists():
        images = rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
        artifacts.write(
            data / "images.h5", "images", ORIGIN, {"images": images, "file": [f"{i}.png".encode() for i in range(60)]}
        )
        labels = np.arange(60) % 2
        artifacts.write(data / "truth.h5", "truth", ORIGIN, {"labels": labels}, class_names=CLASSES)
    probabilities = np.tile([0.25, 0.75], (60, 1))
    for seed in SEEDS:
        signals = {"ids": np.arange(60), "probabilities": probabilities}
        artifacts.write(at / f"seed{seed}/start-mlp/cycle0/signals.h5", "signals", ORIGIN, signals)
    for method in METHODS:
        for seed in SEEDS:
            for cycle in range(1, CYCLES + 1):
                node = at / f"seed{seed}" / method / f"cycle{cycle}"
                ids = asked(method, seed, cycle)
                artifacts.write(node / "query.h5", "query", ORIGIN, {"ids": ids, "score": np.linspace(1, 0, BUDGET)})
                said = [
                    (k + 1, i, f"{i}.png", 0.5, *(("cat", 0.75) if method == "entropy" else (None, None)))
                    for k, i in enumerate(ids)
                ]
                artifacts.write_csv(
                    node / "query.csv", ["order", "id", "file", "score", "predicted_class", "probability"], said
                )
                artifacts.write_costs(node / "train.benchmark.tsv", ["2.0", "1", "1", "0", "0"], "made up")
                os.utime(node / "train.benchmark.tsv", (1e9, 1e9 + 60 * cycle))
    return at


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made_up(tmp_path_factory.mktemp("page"))


# ---- what is computed


def test_means_and_bands_are_those_of_scipy(folder):
    study = results.read(folder)
    curves = results.curves(results.in_percent(study)).set_index(["method", "cycle"])
    one = curves.loc["entropy", 2]
    values = [100 * accuracy("entropy", seed, 2) for seed in SEEDS]
    assert one["labels"] == 28 and one["seeds"] == 2 and one["value_mean"] == pytest.approx(np.mean(values))
    ends = stats.t.interval(0.95, 1, np.mean(values), stats.sem(values))
    assert one[["value_ci_low", "value_ci_high"]].tolist() == pytest.approx(ends)
    assert one["value_sd_high"] - one["value_mean"] == pytest.approx(np.std(values, ddof=1))
    # paired by seed: both seeds gain the same, so there is no width
    assert one[["gain_mean", "gain_ci_low"]].tolist() == pytest.approx([10, 10])
    assert one["full_mean"] == pytest.approx(np.mean(values) / 0.8)
    assert curves.loc["random", "gain_mean"].tolist() == [0, 0, 0]


def test_use_of_gpus_and_what_discriminators_tell_apart(folder, tmp_path):
    study = results.read(folder)
    (row,) = content.gpu_use(study).to_dict("records")
    assert row == {"job": "train", "GPU": "H100", "jobs": 6, "mean_seconds": 3, "peak_memory_MB": 200}
    assert content.told_apart(study) is None
    told = [("vaal", 0, 1, 0.6), ("vaal", 1, 1, 0.8), ("vaal", 0, 2, 0.5)]
    tables.write(tmp_path / "adversary_auc.csv", pd.DataFrame(told, columns=["method", "seed", "cycle", "auc"]), "%.6g")
    (row,) = content.told_apart(results.Results(tmp_path, study.about)).to_dict("records")
    assert row == {"method": "vaal", "query 1": pytest.approx(0.7), "query 2": 0.5}


def test_one_seed_has_no_interval(folder):
    models = results.in_percent(results.read(folder))
    one = results.curves(models[models["seed"] == 0])
    assert one["value_mean"].notna().all() and one[["value_ci_low", "value_sd_high"]].isna().all().all()


def test_summary_takes_the_intervals_of_the_statistics_where_there_are_some(folder, tmp_path):
    (entropy,) = [row for row in results.summary(results.read(folder)) if row["method"] == "entropy"]
    values = [100 * accuracy("entropy", seed, 2) for seed in SEEDS]
    ends = stats.t.interval(0.95, 1, np.mean(values), stats.sem(values))
    assert entropy["final"] == pytest.approx((np.mean(values), *ends), abs=0.2)  # summary.csv has four digits
    assert entropy["seconds"] == 3 and entropy["seeds"] == 2
    other = tmp_path / "pets"
    shutil.copytree(folder, other)
    known = pd.DataFrame(
        {
            "method": ["entropy"] * 2,
            "quantity": ["accuracy", "aubc"],
            "mean": [0.7, 0.6],
            "low": [0.6, None],
            "high": [0.8, None],
        }
    )
    tables.write(other / "estimates.csv", known, "%.6g")
    saved = pd.DataFrame({"method": ["entropy", "peek"], "saved": [5, None], "low": [-1, None], "high": [11, None]})
    tables.write(other / "labels_saved.csv", saved, "%.6g")
    found = {row["method"]: row for row in results.summary(results.read(other))}
    assert found["entropy"]["final"] == pytest.approx((70, 60, 80)) and found["entropy"]["aubc"] == (60, None, None)
    assert found["entropy"]["saved"] == (5, -1, 11)
    assert content.findings(results.read(other), list(found.values()))[0].startswith(
        "Highest after 28 labels: entropy, accuracy 70.0 % (95 % interval 60.0 to 80.0)."
    )


def test_overlap_is_counted_image_by_image(folder):
    found = results.overlap(results.read(folder)).set_index(["method", "other"])
    assert found.loc[("entropy", "peek"), "first"] == pytest.approx(100 * 2 / 6)
    both, either = 4, 12  # of two queries of four images each
    assert found.loc[("peek", "entropy"), "all"] == pytest.approx(100 * both / either)
    assert found.loc[("entropy", "entropy"), "all"] == 100
    union = [set().union(*(asked(method, 0, cycle).tolist() for cycle in (1, 2))) for method in ("random", "entropy")]
    assert found.loc[("random", "entropy"), "all"] == 100 * len(union[0] & union[1]) / len(union[0] | union[1])


def test_times_of_jobs_are_those_of_their_files(folder):
    jobs = results.jobs(results.read(folder))
    assert len(jobs) == len(METHODS) * len(SEEDS) * CYCLES and set(jobs["part"]) == {"training"}
    assert sorted(set(jobs["start"])) == pytest.approx([0, 1]) and jobs["end"].max() == pytest.approx(1 + 2 / 60)


def test_gallery_holds_the_first_of_each_query_and_says_what_it_leaves_out(folder):
    study = results.read(folder)
    shown = gallery.gallery(study)
    assert shown["perQuery"] == 4 and shown["leftOut"] == 0
    assert [row[0] for row in shown["queries"]["entropy"]["2"]] == asked("entropy", 0, 2).tolist()
    assert shown["queries"]["entropy"]["1"][0] == [20, 1, "0.5", "cat", 0.75, 20, None]
    assert gallery.told({"id": 627, "order": 1, "image": 26, "region": "3", "score": "-inf"})[2:] == [
        "-inf",
        None,
        None,
        26,
        "3",
    ]
    assert shown["asked"][22] == {"entropy": [1, 3], "peek": [1, 1]}  # cycle, place
    assert shown["pictures"][22]["truth"] == 0 and shown["pictures"][22]["file"] == "22.png"
    assert shown["seen"][22]["peek"] == [[0, 1, 75]]
    few = gallery.gallery(study, 1)  # bytes
    assert few["perQuery"] == 1 and few["leftOut"] == len(METHODS) * CYCLES * 3
    rows = {("a", 1): [{}] * 50, ("b", 1): [{}] * 2}
    assert (
        gallery.chosen(rows, 8).left_out == 46
        and gallery.chosen(rows | {("c", 1): []}, 10_000).per_query == gallery.MOST
    )


def test_thumbnails_are_the_images(folder):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(gallery.encoded(small, 128)))), small)
    assert Image.open(io.BytesIO(gallery.encoded(np.zeros((300, 600, 1), np.int16), 128))).size == (128, 64)


def study_of(folder, task, images, truth):
    """The results of a study of another task as far as the gallery asks for them."""
    settings = {"study": "s", "task": task, "dataset": {"name": "d"}, "pool": {"noise": {"kind": "none"}}}
    artifacts.write(folder / "datasets/d/images.h5", "images", ORIGIN, images)
    artifacts.write(folder / "datasets/d/truth.h5", "truth", ORIGIN, truth, class_names=["car", "dog"])
    tables.write(folder / "s/metrics.csv", pd.DataFrame({"seed": [3]}), "%d")
    return results.Results(folder / "s", {"settings": settings})


def test_frames_have_their_boxes_and_estimated_errors_of_every_model(tmp_path, monkeypatch):
    images = {
        "images": np.zeros((3, 50, 100, 3), np.uint8),
        "video": [0, 0, 0],
        "frame": [0, 5, 9],
        "video_names": [b"v"],
    }
    truth = {"boxes": [[0, 0, 10, 5], [20, 10, 40, 20]], "box_labels": [0, 1], "offsets": [0, 0, 1, 2]}
    study = study_of(tmp_path, "detection", images, truth)
    study.settings["methods"] = {"random": {"tracker": "flow"}, "coherent": {"tracker": "flow"}}
    models = [(3, method, "net", cycle) for method in study.settings["methods"] for cycle in (0, 1, 2)]
    models = pd.DataFrame(models, columns=["seed", "method", "learner", "cycle"]).assign(deployable=True)
    tables.write(study.folder / "metrics.csv", models, "%d")
    study = results.Results(study.folder, study.about)
    assert gallery.of_detection(study, np.array([1, 2]), 320) == [
        {"file": "v, frame 5", "boxes": [["truth", 0, 0, 0, 10, 10]]},
        {"file": "v, frame 9", "boxes": [["truth", 1, 20, 20, 20, 20]]},
    ]
    start, later = study.folder / "seed3/start-net/cycle0", study.folder / "seed3/coherent/cycle1"
    found = {"ids": [0, 1], "offsets": [0, 0, 2], "boxes": [[50, 0, 60, 50], [0, 0, 1, 1]], "labels": [1, 1]}
    found["probabilities"] = [[0.1, 0.2, 0.7], [0.6, 0.2, 0.2]]
    artifacts.write(start / "detections.h5", "detections", ORIGIN, found)
    artifacts.write(later / "detections.h5", "detections", ORIGIN, found | {"ids": [1, 2]})
    nodes = {"node_frame": [1, 1, 2, 2], "node_box": [[0, 0, 100, 50]] * 4, "node_label": [0, 0, 1, 1]}
    nodes |= {"is_candidate": [False, False, True, True], "real": [True, False, True, False]}
    artifacts.write(later / "coherence_flow.h5", "coherence", ORIGIN, nodes)
    (study.folder / "seed3/coherent/cycle2").mkdir()
    (study.folder / "seed3/coherent/cycle2/detections.h5").symlink_to(
        later / "detections.h5"
    )  # of a chain that stopped
    asking = {("random", 1): [{"id": "1"}], ("coherent", 2): [{"id": "2"}]}
    sure = {0: [["detection", 1, 50, 0, 10, 100]]}  # the other one is too unsure
    estimated = [[kind, 0, 0, 0, 100, 100] for kind in ("detection", "false_positive")]
    missed = [["false_negative", 1, 0, 0, 100, 100]]
    assert gallery.boxes_found(study, asking) == {
        1: {"random": sure, "coherent": sure | {1: estimated}},
        2: {"coherent": {1: missed}},
    }
    monkeypatch.setattr(gallery, "MOST_BOXES", 3)  # those of the models behind the queries
    assert gallery.boxes_found(study, asking) == {1: {"random": sure}, 2: {"coherent": {1: missed}}}


def test_scenes_have_their_maps(tmp_path):
    masks = np.full((2, 4, 4), 255, np.uint8)
    masks[1, :2] = 1
    images = {"images": np.zeros((2, 4, 4, 3), np.uint8), "file": [b"a", b"b"]}
    study = study_of(tmp_path, "segmentation", images, {"masks": masks})
    (one,) = gallery.of_segmentation(study, np.array([1]), 192)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(one["map"].partition(",")[2]))))
    assert one["file"] == "b" and (shown[:2] == gallery.hues(20)[1]).all() and (shown[2:] == 0).all()


def test_images_with_noise_are_those_that_a_seed_sees(tmp_path):
    study = study_of(tmp_path, "classification", {"images": np.zeros((1, 4, 4, 1), np.uint8)}, {"labels": [0]})
    assert study.dataset_file("images.h5") == tmp_path / "datasets/d/images.h5"
    study.settings["pool"]["noise"]["kind"] = "gaussian"
    assert study.dataset_file("images.h5") == tmp_path / "s/seed3/images.h5"
    assert study.dataset_file("truth.h5") == tmp_path / "datasets/d/truth.h5"


def test_bad_checks_come_first_and_good_ones_not_at_all(folder):
    assert [check["sentence"] for check in content.checks(results.read(folder))] == ["Its loss is nan."]


def test_the_head_of_a_study_is_read_and_cut_into_paragraphs_and_lists(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(
        "# yaml-language-server: x\n# Of a paper,\n# sec. 2.\n# Published: 90 %.\n# - one\n#   thing\nstudy: a\n# no head\n"
    )
    assert head(path) == head([tmp_path / "missing", path]) == "Of a paper,\nsec. 2.\nPublished: 90 %.\n- one\n  thing"
    assert content.described(head(path)) == [
        ("p", ["Of a paper, sec. 2."]),
        ("p", ["Published: 90 %."]),
        ("ul", ["one thing"]),
    ]


def test_versions_and_hashes_are_told_line_by_line():
    about = {"dagal_version": "1", "settings": {}, "code": {"train": "ab"}, "environments": [{"gpus": ["x", "y"]}]}
    told = [("dagal version", "1"), ("code, train", "ab"), ("environments 1, gpus", "x, y")]
    assert content.versions(about) == told


def test_table_for_a_paper():
    rows = [
        {"method": "least_confidence", "deployable": True, "seeds": 3, "final": (91.26, 90.0, 92.52), "aubc": (80, None, None), "saved": None},
        {"method": "oracle", "deployable": False, "seeds": 3, "final": (95, 94, 96), "aubc": (90, 89, 91), "saved": (-12, -20, -4)},
    ]  # fmt: skip
    lines = publication.latex(rows, "accuracy").splitlines()
    assert lines[3] == r"method & accuracy (\%) & AUBC (\%) & labels saved \\"
    assert lines[5] == r"least\_confidence & $91.3 \pm 1.3$ & $80.0$ & -- \\"
    assert lines[6] == r"oracle$^\dagger$ & $95.0 \pm 1.0$ & $90.0 \pm 1.0$ & $-12 \pm 8$ \\"
    assert publication.escaped("a_b%\\~") == r"a\_b\%\textbackslash{}\textasciitilde{}"


def test_figures_for_a_paper_have_their_data_and_no_colour_of_the_page(folder, tmp_path):
    outputs = {name: str(tmp_path / f"a.{name}") for name in ("svg", "pdf", "data", "latex")}
    run(publication.make, {"metrics": str(folder / "metrics.csv")}, outputs)
    svg = Path(outputs["svg"]).read_text()
    assert svg.startswith("<svg") and "var(" not in svg and "currentColor" not in svg and "entropy" in svg
    pdf = Path(outputs["pdf"]).read_bytes()
    assert pdf.startswith(b"%PDF")
    run(publication.make, {"metrics": str(folder / "metrics.csv")}, outputs)
    assert Path(outputs["pdf"]).read_bytes() == pdf
    data = tables.read(outputs["data"]).set_index(["method", "cycle"])
    assert data.loc[("peek", 2), "value_mean"] == pytest.approx(81)
    assert r"entropy & $71.0 \pm 12.7$" in Path(outputs["latex"]).read_text()


def test_resources_of_a_pdf_are_sorted_in_place():
    """As svg2pdf writes them, in two orders; what else looks alike stays."""
    one, other = (
        b"  /A <<\n    /xo9 26 0 R\n    /xo10 8 0 R\n  >>\n",
        b"  /A <<\n    /xo10 8 0 R\n    /xo9 26 0 R\n  >>\n",
    )
    assert publication.in_order(one) == publication.in_order(other) == other
    kept = b"<<\n  /Root 2 0 R\n  /Info 35 0 R\n>>"
    assert publication.in_order(kept) == kept


# ---- what is written


def test_page_is_one_file_that_needs_nothing_and_takes_names_as_text(folder, tmp_path):
    page.write([folder], tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text()
    written = re.sub(r"<script>.*?</script>", "", text, flags=re.S)  # without the programs
    assert not re.search(r"(src|href)=[\"'](?!data:|#)|@import|url\(", written)
    assert "</script><i>dog" not in text and "Do not trust" in text and "Published: 90 %." in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert data["galleries"]["pets"]["classes"] == CLASSES


def test_page_of_several_studies(folder, tmp_path):
    other = made_up(folder.parents[1], "toys")
    tables.write(
        tmp_path / "ranks.csv",
        pd.DataFrame({"method": ["entropy", "random"], "rank": [1, 2], "critical_difference": 1.4}),
        "%.6g",
    )
    page.write([folder, other], tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text()
    assert '<article id="pets"' in text and '<article id="toys"' in text and 'data-chart="pets-ranks"' in text
    assert 'data-chart="pets-overview"' in text and 'data-chart="toys-overview"' in text


def test_studies_are_compared_on_a_page(folder, tmp_path):
    made_up(folder.parents[1], "toys")
    folders = [str(folder), str(folder.with_name("toys"))]
    assert main(["compare", *folders, "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out/index.html").read_text()
    assert '<article id="pets"' in text and "<h3>break even</h3>" in text


def test_folder_without_results_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="holds no study.json"):
        page.write([tmp_path], tmp_path / "index.html")


# ---- in a browser


def test_page_in_chromium(folder, tmp_path, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def find(selector):
        return browser.find_element(By.CSS_SELECTOR, selector)

    page.write([folder], tmp_path / "index.html")
    browser.set_window_size(1200, 900)
    browser.get((tmp_path / "index.html").as_uri())
    curve = "document.querySelector('[data-chart=\"pets-curve\"]')"
    until(browser, f"{curve}.dataset.drawn")
    lines = f"{curve}.querySelectorAll('svg .mark-line path').length"

    # a method is switched off, by keyboard, in the figure, the table and the gallery
    before = browser.execute_script(f"return {lines}")
    entropy = find('.method[data-method="entropy"]')
    entropy.send_keys(Keys.ENTER)
    until(browser, f"{lines} < {before}")
    assert entropy.get_attribute("aria-pressed") == "false"
    assert "off" in find('tr[data-method="entropy"]').get_attribute("class")
    assert not find('.query[data-method="entropy"]').is_displayed()
    entropy.send_keys(Keys.SPACE)
    until(browser, f"{lines} === {before}")

    # what is shown, and the axis
    title = f"{curve}.querySelector('svg .role-title-text, svg .role-title').textContent"
    find('[data-value="gain"]').click()
    until(browser, f"{title}.includes('gain over random')")
    find('[data-toggle="log"]').click()
    until(browser, f"{curve}.querySelector('svg') && {title}.includes('gain over random')")
    find('[data-toggle="seeds"]').click()

    # the table is sorted by keyboard
    head_of_final = find("table.summary thead th:nth-child(2) button")
    rows = "[...document.querySelectorAll('table.summary tbody tr')].map((row) => row.dataset.method).join()"
    head_of_final.send_keys(Keys.ENTER)
    assert browser.execute_script(f"return {rows}") == "peek,entropy,random"
    head_of_final.send_keys(Keys.ENTER)
    assert browser.execute_script(f"return {rows}") == "random,entropy,peek"
    assert find("table.summary thead th:nth-child(2)").get_attribute("aria-sort") == "ascending"

    # the gallery: another cycle, an image enlarged and followed, closed by keyboard
    browser.execute_script("document.querySelectorAll('.cycles button')[1].click()")
    thumb = find('.query[data-method="entropy"] .thumb')
    assert "image 30" in thumb.get_attribute("title")
    thumb.send_keys(Keys.ENTER)
    dialog = find("dialog")
    assert (
        dialog.is_displayed()
        and "Image 30" in dialog.text
        and "30.png" in dialog.text
        and "asked (no. 1)" in dialog.text
    )
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    until(browser, "!document.querySelector('dialog').open")

    # every figure is drawn on the way down, and every picture says what it is
    for figure in browser.find_elements(By.CSS_SELECTOR, "figure.chart"):
        browser.execute_script("arguments[0].scrollIntoView()", figure)
    until(browser, "[...document.querySelectorAll('figure.chart')].every((figure) => figure.dataset.drawn)")
    assert browser.execute_script("return [...document.images].every((image) => image.alt && image.complete)")

    # a telephone
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    until(browser, "document.documentElement.scrollWidth <= 400")
    assert [entry["message"] for entry in browser.get_log("browser")] == []
