"""The labeling page in a browser: by keyboard and mouse, with kills of the server and of the browser in between."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import waiting_studies
from conftest import ROOT

from dagal.labeling import answers, label, pages, server
from dagal.labeling.desk import read_work

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver")


class Page:
    """A browser with a profile that outlives it."""

    def __init__(self, profile):
        self.profile = profile
        self.open()

    def open(self):
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1100,720"):
            options.add_argument(f"--{argument}")
        options.add_argument(f"--user-data-dir={self.profile}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))

    def kill(self):
        """As a power cut would: no event of the page runs."""
        processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
        (browser,) = (one for one in processes if _parent(one) == self.driver.service.process.pid)
        os.kill(browser, signal.SIGKILL)
        self.close()

    def close(self):
        with suppress(Exception):
            self.driver.quit()

    def press(self, *keys):
        """Press keys, one after the other, once what is shown is loaded."""
        from selenium.webdriver import ActionChains

        for key in keys:
            self.until("!window.app || app.loaded()")
            ActionChains(self.driver, duration=0).send_keys(key).perform()

    def drag(self, *points):
        """Press at the first point of the image, move along the others, and let go."""
        from selenium.webdriver import ActionChains

        stage = "const {left, top} = app.stage.root.getBoundingClientRect(); return [left + app.stage.left, top + app.stage.top, app.stage.scale]"
        left, top, scale = self.driver.execute_script(stage)
        chain = ActionChains(self.driver, duration=0)
        pointer = chain.w3c_actions.pointer_action
        for place, (x, y) in enumerate(points):
            pointer.move_to_location(round(left + x * scale), round(top + y * scale))
            if place == 0:
                pointer.pointer_down()
        pointer.pointer_up()
        chain.perform()

    def until(self, expression):
        self.wait(lambda: self.driver.execute_script(f"return Boolean({expression})"), expression)

    def wait(self, condition, what):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 30, poll_frequency=0.02).until(lambda _: condition(), what)

    def text(self, element):
        return self.driver.execute_script(f"return document.getElementById('{element}').textContent")

    def start(self, address, name="anna"):
        """Open the page, and give the name if it asks."""
        self.driver.get(address)
        self.until("window.app || document.querySelector('dialog[open]')")
        if not self.driver.execute_script("return window.app !== undefined"):
            self.press(name, "\ue007")
        self.until("window.app")


def _parent(process):
    with suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return None  # it has ended


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    page = Page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture(autouse=True)
def no_script_fails(page):
    """An error of the page's own scripts, or a breach of its rules of content, fails the test."""
    page.driver.get_log("browser")
    yield
    logged = page.driver.get_log("browser")
    # the network fails where a test takes the server away
    assert [line for line in logged if line["level"] == "SEVERE" and line["source"] != "network"] == []


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Starts the command; returns its process and the address that it prints."""
    monkeypatch.chdir(tmp_path)
    started = []

    def start(folder):
        command = [sys.executable, "-m", "dagal", "label", str(folder)]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return started[-1], re.search(r"http://\S+", started[-1].stdout.readline())[0]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


ENTER = "\ue007"


def given(folder):
    return answers.read(answers.log_of(folder))


def test_digits_by_keyboard_while_server_and_browser_are_killed(page, serve, tmp_path):
    folder, labels = waiting_studies.digits(tmp_path, n=9)
    process, address = serve(folder)
    page.start(address)
    assert page.driver.current_url == address.partition("?")[0]  # the token is out of the address
    order = [1, 0, *range(2, 9)]
    page.driver.execute_script("app.stage.load(new Image(), 28, 28, ''); app.give('unsure')")
    assert page.text("message").startswith("The image is not there yet")  # and nobody answers unseen
    page.driver.execute_script("app.show()")
    page.press("1", "0", "9")  # the third is wrong
    page.press("u", "c", "blurred", ENTER, "2")
    page.until("app.outbox.held.size === 0")
    assert page.text("saved") == "all saved"

    page.until("[...app.pictures.values()].every((one) => one.naturalWidth > 0)")  # the next ones, too
    process.kill()
    process.wait()
    page.press("3")
    page.until("document.getElementById('saved').textContent.startsWith('1 not saved yet: the server does not answer')")
    assert len(given(folder)) == 5
    process, _ = serve(folder)
    page.until("app.outbox.held.size === 0")  # the page that is open sends it by itself
    assert len(given(folder)) == 6

    page.until("[...app.pictures.values()].every((one) => one.naturalWidth > 0)")
    process.kill()
    process.wait()
    page.press("?")
    page.kill()
    page.open()
    _, again = serve(folder)
    assert again == address
    page.start(address)
    page.until("app.outbox.held.size === 0")
    assert [(one["id"], one["state"], one["label"]) for one in given(folder)] == [
        (1, "labeled", "1"), (0, "labeled", "0"), (2, "labeled", "9"), (2, "withdrawn", None), (2, "labeled", "2"),
        (3, "labeled", "3"), (4, "unsure", None),
    ]  # fmt: skip

    assert page.text("about").startswith("6 of 9")
    page.press("s", "n", "7")  # 5 is skipped: it comes again at the end
    assert page.text("about").startswith("9 of 9")
    page.press("8")
    assert page.text("about").startswith("6 of 9")
    page.press("5")
    page.until("app.isDone && app.outbox.held.size === 0")
    assert page.text("pace").startswith("9 of 9")
    counted = {image: one["anna"] for image, one in answers.latest(given(folder)).items()}
    assert set(counted) == set(order)
    assert {image: one["label"] for image, one in counted.items() if one["state"] == "labeled"} == {
        image: str(labels[image]) for image in order if image not in (4, 6)
    }
    assert (counted[4]["state"], counted[6]["state"]) == ("unsure", "no_class")
    assert counted[2]["comment"] == "blurred" and counted[3]["comment"] == ""
    assert all(one["suggestion"] is None and 0 <= one["seconds"] < 100 for one in counted.values())
    assert len({(one["id"], one["at"]) for one in given(folder)}) == len(given(folder))
    (folder / "waiting.json").unlink()  # the study has gone on
    page.driver.refresh()
    page.until("document.getElementById('message').textContent.includes('run the study by snakemake')")


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server in this process, and its address."""
    monkeypatch.chdir(tmp_path)
    running = []

    def start(folder):
        one = server.start(folder, None)
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((one, thread))
        return f"http://127.0.0.1:{one.server_port}/?token={one.token}"

    yield start
    for one, thread in running:
        one.shutdown()
        one.server_close()
        thread.join()


def test_a_sheet_of_look_alikes(page, served, tmp_path):
    folder, labels = waiting_studies.digits(tmp_path, n=32, suggestions=True, wrong=[4, 12])
    page.start(served(folder))
    page.press("1", "0")  # of the test set: one by one, without suggestion
    page.driver.execute_script(
        "const order = document.getElementById('order'); order.value = 'sheet'; order.dispatchEvent(new Event('change'))"
    )
    page.until("app.isSheet")
    page.press(ENTER, "u")  # a sheet is undone as one
    assert page.text("pace").startswith("2 of 32")
    for _ in range(9):  # sheets of 0 to 8: all right
        page.press(ENTER)
    assert [item["id"] for item in page.driver.execute_script("return app.sheet.group")] == [4, 9, 12, 19, 29]
    page.press(" ", "\ue014", "\ue014", " ", ENTER)  # space marks the first and, two to the right, the third
    page.until("!app.isSheet")
    page.press("4", "2")
    page.until("app.isDone && app.outbox.held.size === 0")
    counted = {image: one["anna"] for image, one in answers.latest(given(folder)).items()}
    assert {image: one["label"] for image, one in counted.items()} == {k: str(labels[k]) for k in range(32)}
    suggested = {image: one["suggestion"] for image, one in counted.items()}
    assert suggested == {k: None if k < 2 else "9" if k in (4, 12) else str(labels[k]) for k in range(32)}


def test_boxes_on_three_frames(page, served, tmp_path):
    folder, (first, second, third) = waiting_studies.frames(tmp_path, suggestions=True)
    page.start(served(folder))
    corners = lambda box: [(box[0], box[1]), (box[2], box[3])]  # noqa: E731
    page.press(ENTER)
    assert page.text("message").startswith("There is no box yet")
    page.drag((40, 50), (60, 60))
    page.press("\ue017")  # Delete
    start, end = corners(first)
    page.drag(start, (20, 20), (end[0] - 6, end[1]))  # too narrow, then drawn wider by its right side
    page.drag((end[0] - 6, 26), (end[0], 26))
    page.press("2", ENTER)
    page.press("p", ".", *["\ue014"] * 4, ENTER)  # copied, chosen, moved by four pixels
    page.press(
        "g", ".", *["\ue012"] * 2, "3", "d", ENTER
    )  # suggested, moved back by two; the class by number, then letter
    page.until("app.isDone && app.outbox.held.size === 0")
    found = [one for one in given(folder)]
    assert [one["id"] for one in found] == [0, 1, 2]
    for one, box in zip(found, (first, second, third), strict=True):
        ((*drawn, name),) = one["boxes"]
        assert name == "dog" and np.abs(np.subtract(drawn, box)).max() <= 0.2  # pixels of the screen are smaller
        assert one["suggestion"] == [[box[0] + 2, box[1], box[2] + 2, box[3], "dog"]]
    page.press("\ue012")  # back to the last one: what was saved is there
    assert page.driver.execute_script("return app.mode.boxes.length") == 1


def test_a_mask_of_superpixels_and_a_polygon(page, served, tmp_path):
    folder, (box,) = waiting_studies.scene(tmp_path)
    page.start(served(folder))
    page.until("app.mode.parts")
    page.press("2")
    for y in range(13, 40, 4):  # rows of superpixels within the square
        page.drag((9, y), (31, y))
    page.press("p")
    for corner in ((40, 44), (60, 44), (60, 60), (40, 60)):
        page.drag(corner)
    page.press(ENTER, "\ue00c", "1", "f", "f", ENTER)  # closed, left, and the rest is ground
    page.until("app.isDone && app.outbox.held.size === 0")
    (one,) = given(folder)
    mask = cv2.imread(str(folder / answers.FOLDER / one["mask"]), cv2.IMREAD_UNCHANGED)
    expected = np.zeros((64, 64), np.uint8)
    expected[box[1] : box[3], box[0] : box[2]] = 1
    expected[44:60, 40:60] = 1
    assert mask.shape == expected.shape and mask.dtype == np.uint8
    assert (mask != expected).mean() < 0.01  # superpixels follow the edge of the square nearly everywhere
    np.testing.assert_array_equal(mask[44:60, 40:60], 1)
    page.press("u")  # the whole answer, as nothing was painted since
    page.until("app.outbox.held.size === 0")
    assert [one["state"] for one in given(folder)] == ["labeled", "withdrawn"]


@pytest.mark.parametrize(
    "names, keys",
    [
        (["cat", "dog", "deer"], ["1a", "2d", "3e"]),  # c is for comments, and the second d is taken
        (["7", "10", "x"], ["7", "1", "2x"]),
        ([f"n{k}" for k in range(11)] + ["Öl"], [*"1234567890", "", "ö"]),
    ],
)
def test_keys_of_classes(page, names, keys):
    page.driver.get("data:text/html,")
    script = f"{(pages.FOLDER / 'parts.js').read_text()}; return classKeys(arguments[0], 'usnchm').map((one) => one.join(''))"
    assert page.driver.execute_script(script, names) == keys


def test_a_polygon_holds_the_pixels_whose_middle_is_inside(page, served, tmp_path):
    folder, _ = waiting_studies.scene(tmp_path)
    page.start(served(folder))
    corners = np.random.default_rng(0).uniform(2, 62, (7, 2))  # its edges cross each other
    script = "app.mode.polygon = arguments[0]; app.current = 1; app.mode.close(); return [...app.mode.mask]"
    mask = np.array(page.driver.execute_script(script, corners.tolist())).reshape(64, 64)
    y, x = np.mgrid[:64, :64] + 0.5
    inside = np.zeros((64, 64), bool)  # an odd number of edges to the right
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, 0), strict=True):
        inside ^= ((y1 <= y) != (y2 <= y)) & (x1 + (y - y1) / (y2 - y1) * (x2 - x1) > x)
    assert 300 < inside.sum() < 3000
    np.testing.assert_array_equal(mask, np.where(inside, 1, 255))
    page.press("u")
    assert page.driver.execute_script("return app.mode.mask.every((value) => value === 255)")


def test_the_page_in_one_file(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, labels = waiting_studies.digits(tmp_path, n=4)
    file = tmp_path / "page.html"
    file.write_text(pages.standalone(read_work(folder)), encoding="utf-8")
    assert not re.search(r"(src|href)=\"/", file.read_text())
    page.driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.start(file.as_uri(), "bén")
    page.press("1", "0", "2")
    page.start(file.as_uri())  # loaded again: what was answered is there
    assert page.text("pace") == "3 of 4"
    page.press("3")
    page.driver.execute_script("document.getElementById('download').click()")
    saved = tmp_path / "answers-small-bén.jsonl"
    page.wait(lambda: saved.exists() and saved.stat().st_size, "a file is saved")  # an empty one holds its name before
    assert label.take(folder, saved) == 4
    counted = {image: one["bén"]["label"] for image, one in answers.latest(given(folder)).items()}
    assert counted == {image: str(labels[image]) for image in range(4)}
