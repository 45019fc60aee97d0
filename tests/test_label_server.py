"""The labeling page's server: whom it refuses, and that answers reach the file whole, once and in order."""

import http.client
import json
import threading
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
import waiting_studies

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling import answers, desk, label, masks, pages, server

TOKEN = "right"
GOOD = {"Host": "127.0.0.1:80", "Cookie": f"other=1; {server.cookie(80)}={TOKEN}"}
POST = GOOD | {"Content-Type": "application/json", "Content-Length": "2", "Origin": "http://127.0.0.1:80"}


@pytest.mark.parametrize(
    "method, target, headers, status",
    [
        ("GET", "/", GOOD, None),
        ("GET", "/?token=right", {"Host": "localhost:80"}, None),
        ("GET", "/work", {"Host": "localhost:80", "X-Dagal-Token": TOKEN}, None),
        ("POST", "/answers", POST, None),
        ("GET", "/", GOOD | {"Host": "evil.example:80"}, 421),  # a name that was made to lead here
        ("GET", "/", GOOD | {"Host": "127.0.0.1:81"}, 421),
        ("GET", "/", GOOD | {"Host": "127.0.0.1"}, 421),
        ("GET", "/", {"Cookie": GOOD["Cookie"]}, 421),
        ("GET", "/work", GOOD | {"Origin": "http://evil.example"}, 403),
        ("GET", "/work", GOOD | {"Origin": "null"}, 403),  # of a sandboxed frame or a file
        ("GET", "/work", GOOD | {"Origin": "https://127.0.0.1:80"}, 403),
        ("POST", "/answers", POST | {"Origin": "http://127.0.0.1:8080"}, 403),
        ("GET", "/", {"Host": "127.0.0.1:80"}, 401),
        ("GET", "/?token=wrong", GOOD, 401),
        ("GET", "/?token=", GOOD | {"Cookie": ""}, 401),
        ("GET", "/work?token=right", GOOD | {"Cookie": ""}, 401),  # only the first address carries it
        ("GET", "/work", GOOD | {"Cookie": f"{server.cookie(81)}={TOKEN}"}, 401),
        ("GET", "/work", GOOD | {"X-Dagal-Token": "Ü"}, 401),
        ("POST", "/answers", POST | {"Cookie": ""}, 401),
        ("POST", "/answers", POST | {"Content-Type": "text/plain"}, 415),  # what forms of other pages can send
        ("POST", "/answers", POST | {"Content-Length": None}, 411),
        ("POST", "/answers", POST | {"Content-Length": "-1"}, 411),
        ("POST", "/answers", POST | {"Transfer-Encoding": "chunked"}, 411),
        ("POST", "/answers", POST | {"Content-Length": str(server.MOST_BYTES + 1)}, 413),
        ("POST", "/answers", POST | {"Content-Length": "9" * 5000}, 413),
    ],
)
def test_a_request_is_refused_by_what_it_comes_with(method, target, headers, status):
    refused = server.refusal(method, target, headers, 80, TOKEN)
    assert (refused and refused[0]) == status


@contextmanager
def served(folder):
    page = server.start(folder, None)
    thread = threading.Thread(target=page.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield page
    finally:
        page.shutdown()
        page.server_close()
        thread.join()


def asked(page, method, path, body=None, **headers):
    """Status, headers and content of what the server replies to one that has the token."""
    connection = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=10)
    headers = {"X-Dagal-Token": page.token, "Content-Type": "application/json"} | headers
    connection.request(method, path, body, {name: value for name, value in headers.items() if value is not None})
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read()


def answer(image, state="labeled", **more):
    given = {"id": image, "state": state, "annotator": "anna", "at": f"2026-11-26T05:00:00.{image:03}Z", "seconds": 1.5}
    return given | ({"label": "3"} if state == "labeled" else {}) | more


@pytest.fixture
def digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return waiting_studies.digits(tmp_path)[0]


def test_server_gives_the_page_its_images_and_nothing_else(digits):
    with served(digits) as page:
        status, headers, _ = asked(page, "GET", f"/?token={page.token}", **{"X-Dagal-Token": None})
        assert (status, headers["Location"]) == (303, "/")
        assert headers["Set-Cookie"].startswith(f"{server.cookie(page.server_port)}={page.token};")
        assert {"HttpOnly", "SameSite=Strict"} <= set(headers["Set-Cookie"].split("; "))
        for path in pages.FILES:
            status, headers, content = asked(page, "GET", path)
            assert status == 200 and content
            assert "default-src 'none'" in headers["Content-Security-Policy"] and "unsafe" not in str(headers)
            assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
        status, _, content = asked(page, "GET", "/images/7")
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image, desk.read_image(page.work.images, 7)[..., 0])
        # an image that does not wait, ways out of the folder, and what there is not
        for path in ("/images/8", "/images/-1", "/images/%D9%A3", "/../waiting.json", "/page.css/..",
                     "/%2e%2e/study.json", "//etc/passwd", "/answers", "/images/0/../../waiting.json", "/waiting.json"):  # fmt: skip
            assert asked(page, "GET", path)[0] == 404, path
        assert asked(page, "GET", "/superpixels/1?segments=1000000")[0] == 400
        assert asked(page, "POST", "/work", "[]")[0] == 404
        assert asked(page, "PUT", "/answers", "[]")[0] == 501
        assert asked(page, "GET", "/", Host="evil.example")[0] == 421
        assert asked(page, "POST", "/answers", "[]", Origin="http://evil.example")[0] == 403
        assert asked(page, "GET", "/work", **{"X-Dagal-Token": None})[0] == 401
        kept = digits / answers.FOLDER / server.KEPT
        assert kept.stat().st_mode & 0o077 == 0
    assert not answers.log_of(digits).exists()


def test_answers_are_taken_once_whatever_is_sent_again(digits):
    with served(digits) as page:
        port = page.server_port
        status, _, reply = asked(page, "POST", "/answers", json.dumps([answer(2), answer(3, "unsure", comment="a 3?")]))
        assert (status, json.loads(reply)) == (200, {"new": 2})
        log = answers.log_of(digits)
        given = answers.read(log)
        assert [(one["id"], one["state"], one["label"], one["source"]) for one in given] == [
            (2, "labeled", "3", "page"), (3, "unsure", None, "page"),
        ]  # fmt: skip
        again = [answer(3, "unsure", comment="a 3?"), answer(4), answer(4)]
        assert json.loads(asked(page, "POST", "/answers", json.dumps(again))[2]) == {"new": 1}
        work = json.loads(asked(page, "GET", "/work?annotator=anna")[2])
        assert [item["id"] for item in work["items"]] == [1, 0, 2, 3, 4, 5, 6, 7]
        assert {item["id"]: item["answer"]["state"] for item in work["items"] if item["answer"]} == {
            2: "labeled", 3: "unsure", 4: "labeled",
        }  # fmt: skip
        assert "suggestion" not in json.dumps(work["items"]) and not work["suggestions"]
        others = json.loads(asked(page, "GET", "/work?annotator=ben")[2])
        assert [(item["id"], item["answer"]) for item in others["items"]] == [(k, None) for k in (1, 0, 5, 6, 7)]
        # one that is refused lets none in
        assert asked(page, "POST", "/answers", json.dumps([answer(5), answer(6, label="cat")]))[0] == 400
        assert asked(page, "POST", "/answers", b"{")[0] == asked(page, "POST", "/answers", b"[" * 100_000)[0] == 400
        assert len(answers.read(log)) == 3
    with served(digits) as page:  # after a restart: the same address, and what was taken is known
        assert page.server_port == port
        assert json.loads(asked(page, "POST", "/answers", json.dumps(again))[2]) == {"new": 0}
    assert len(answers.read(log)) == 3


def test_a_full_disk_keeps_answers_in_the_page(digits, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with served(digits) as page:
        with monkeypatch.context() as patched:
            patched.setattr(answers, "append", full)
            assert asked(page, "POST", "/answers", json.dumps([answer(2)]))[0] == 503
        assert json.loads(asked(page, "POST", "/answers", json.dumps([answer(2)]))[2]) == {"new": 1}


@pytest.mark.parametrize(
    "given, said",
    [
        (None, "an image is refused: it must be an object"),
        (answer(2, extra=1), "it has the key 'extra'"),
        (answer(8), "id must be a number from 0 to 7"),
        (answer(True), "id must be"),
        (answer(2, "seen"), "state must be one of labeled"),
        (answer(2, "unsure", label="3"), "unsure needs no label, not label"),
        (answer(2, label=None), "labeled needs label"),
        (answer(2, boxes=[]), "labeled needs label, not boxes"),
        (answer(2, label="cat"), "'cat' is no class"),
        (answer(2, label=["3"]), r"\['3'\] is no class"),
        (answer(2, annotator=" "), "annotator must be a name"),
        (answer(2, annotator="a\nb"), "annotator must be a name"),
        (answer(2, at="2026-11-26T05:00:00"), "at must name its time zone"),
        (answer(2, at="today"), "isoformat"),
        (answer(2, seconds=float("nan")), "seconds must be"),
        (answer(2, seconds=10**400), "refused"),
        (answer(2, comment="x" * 2001), "comment must be a text of at most 2000"),
        (answer(2, suggestion="dog"), "'dog' is no class"),
    ],
)
def test_what_is_no_answer_is_refused_with_a_reason(given, said):
    work = desk.Work("s", "classification", waiting_studies.DIGITS, None, 8, 8, 8, 1, False, [], None)
    with pytest.raises(UserError, match=said):
        desk.checked(given, work)


@pytest.mark.parametrize(
    "boxes, said",
    [
        ("none", "boxes must be a list"),
        ([[0, 0, 4, 4]], r"\[x1, y1, x2, y2, class\]"),
        ([[0, 0, 4, "4", "cat"]], "corners of a box must be numbers"),
        ([[0, 0, 4, float("inf"), "cat"]], "corners of a box must be numbers"),
        ([[0, 0, 9, 4, "cat"]], "must lie in the image of 8 x 6 pixels"),
        ([[0, 0, 4, 7, "cat"]], "must lie in the image of 8 x 6 pixels"),
        ([[-1, 0, 4, 4, "cat"]], "must lie in the image"),
        ([[4, 0, 4, 4, "cat"]], "have an area"),
        ([[0, 0, 4, 4, "cow"]], "'cow' is no class"),
    ],
)
def test_boxes_lie_in_the_image(boxes, said):
    work = desk.Work("s", "detection", waiting_studies.ANIMALS, None, 8, 6, 8, 1, False, [], None)
    with pytest.raises(UserError, match=said):
        desk.checked(answer(2, label=None, boxes=boxes), work)
    assert desk.checked(answer(2, label=None, boxes=[]), work)["boxes"] == []
    assert desk.checked(answer(2, label=None, boxes=[[0, 0, 8, 6, "dog"]]), work)["boxes"] == [[0, 0, 8, 6, "dog"]]


def test_runs_carry_a_grid_and_refuse_what_is_none():
    mask = np.array([[1, 1, 255], [255, 0, 0]], np.uint8)
    assert masks.runs(mask) == [1, 2, 255, 2, 0, 2]
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (5, 7), (64, 48)]:
        drawn = rng.integers(0, 3, shape, np.uint8)
        np.testing.assert_array_equal(masks.from_runs(masks.runs(drawn), *shape), drawn)
        np.testing.assert_array_equal(masks.from_runs(masks.runs(drawn * 0), *shape), drawn * 0)
    for wrong in (None, [1], [1, 5], [1, 2, 256, 4], [1, -2, 1, 8], [1, 6.0], [True, 6], [1, 10**30]):
        with pytest.raises(ValueError, match="mask"):
            masks.from_runs(wrong, 2, 3)


def test_superpixels_part_a_bright_square_from_its_ground():
    (image,), (box,) = waiting_studies.scenes(1)
    for pixels in (image, image[..., :1]):
        parts = masks.superpixels(pixels, 100)
        inside = np.zeros(parts.shape, bool)
        inside[box[1] : box[3], box[0] : box[2]] = True
        sizes, within = np.bincount(parts.ravel()), np.bincount(parts[inside], minlength=parts.max() + 1)
        assert sizes.min() > 0 and 50 < len(sizes) < 150
        assert np.minimum(within, sizes - within).sum() < 0.01 * parts.size  # pixels on the wrong side of the edge


def test_a_mask_becomes_a_png_beside_the_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, _ = waiting_studies.scene(tmp_path)
    work, taker = desk.read_work(folder), desk.Desk(folder)
    mask = np.full((64, 64), 255, np.uint8)
    mask[:9] = 1
    given = [answer(0, label=None, mask=masks.runs(mask * k), at=f"2026-11-26T05:00:0{k}Z") for k in (0, 1)]
    assert taker.take([desk.checked(one, work) for one in given]) == 2
    names = [one["mask"] for one in answers.read(answers.log_of(folder))]
    assert names == ["masks/0-1.png", "masks/0-2.png"]
    for name, expected in zip(names, (mask * 0, mask), strict=True):
        stored = cv2.imread(str(folder / answers.FOLDER / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(stored, expected)
    assert taker.items("anna", work)[0]["answer"]["mask"] == masks.runs(mask)
    with pytest.raises(UserError, match=r"has the number \[2\], and there are 2 classes"):
        desk.checked(answer(0, label=None, mask=[2, 64 * 64]), work)


def test_suggestions_are_given_where_asked_for_and_never_of_a_test_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, labels = waiting_studies.digits(tmp_path, suggestions=True, wrong=[4])
    work = desk.read_work(folder)
    assert {item["id"]: item.get("suggestion") for item in work.items} == {
        1: None, 0: None, 2: "2", 3: "3", 4: "9", 5: "5", 6: "6", 7: "7",
    }  # fmt: skip


def test_boxes_are_suggested_from_the_detections_of_the_model_that_asks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, boxes = waiting_studies.frames(tmp_path, suggestions=True)
    work = desk.read_work(folder)
    assert [item["suggestion"] for item in work.items] == [[[b[0] + 2, b[1], b[2] + 2, b[3], "dog"]] for b in boxes]
    assert [(item["video"], item["frame"]) for item in work.items] == [("meadow", 0), ("meadow", 1), ("meadow", 2)]


def test_answers_of_the_page_in_one_file_are_taken_all_or_none(digits, capsys):
    saved = digits.parent / "answers.jsonl"
    saved.write_text("\n".join(json.dumps(answer(image, comment="\u2028")) for image in (2, 3)) + "\n")
    assert label.take(digits, saved) == 2
    assert label.take(digits, saved) == 0
    saved.write_text(json.dumps(answer(4)) + "\n" + json.dumps(answer(5, label="x")))
    with pytest.raises(UserError, match="answers.jsonl, line 2: the answer about image 5 is refused: 'x' is no class"):
        label.take(digits, saved)
    saved.write_text(json.dumps(answer(4)) + '\n{"id"')
    with pytest.raises(UserError, match=r"line 2: this is no answer"):
        label.take(digits, saved)
    saved.write_bytes(b"\xff")
    with pytest.raises(UserError, match="no text in UTF-8"):
        label.take(digits, saved)
    assert [one["id"] for one in answers.read(answers.log_of(digits))] == [2, 3]


def rewrite(folder, **changes):
    """Change waiting.json."""
    artifacts.write_json(folder / "waiting.json", artifacts.read_json(folder / "waiting.json") | changes)


def test_several_annotators_share_the_work_and_look_again_at_what_they_differ_in(digits):
    queries = artifacts.read_json(digits / "waiting.json")["queries"]
    queries[0] |= {"left": [0]}  # 1 is complete
    rewrite(digits, queries=queries, annotators=2)
    taker, work = desk.Desk(digits), desk.read_work(digits)

    def give(*given):
        taker.take([desk.checked(one, work) for one in given])

    def asked_of(name):
        return {item["id"]: item["answer"] and item["answer"]["label"] for item in taker.items(name, work)}

    give(answer(2), answer(3), answer(1), answer(2, annotator="ben", label="8"), answer(4, "skipped"))
    assert asked_of("anna") == {1: "3", 0: None, 2: "3", 3: "3", 4: None, 5: None, 6: None, 7: None}
    assert asked_of("ben") == {0: None, 2: "8", 3: None, 4: None, 5: None, 6: None, 7: None}
    assert asked_of("eva") == {0: None, 3: None, 4: None, 5: None, 6: None, 7: None}  # two have answered 2
    assert not any(item["again"] for item in taker.items("anna", work))
    queries[1] |= {"conflicts": [2]}
    rewrite(digits, queries=queries)
    work = desk.read_work(digits)
    assert asked_of("eva")[2] is None
    assert [item["id"] for item in taker.items("anna", work) if item["again"]] == [2]
    give(answer(2, at="2126-01-01T00:00:00Z"))
    assert not any(item["again"] for item in taker.items("anna", work))


def test_nothing_waits(digits):
    rewrite(digits, queries=[])
    with pytest.raises(UserError, match="no query of .* waits for labels"):
        desk.read_work(digits)
    (digits / "waiting.json").unlink()
    with pytest.raises(UserError, match="waiting.json is missing"):
        desk.read_work(digits)
