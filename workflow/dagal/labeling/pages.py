"""The labeling page as text: in parts for the server, or as one file that needs no server."""

import base64
import hashlib
import json
from pathlib import Path

from dagal.labeling import masks
from dagal.labeling.desk import Work, read_image

FOLDER = Path(__file__).parent / "page"
# in the order in which they build on each other
SCRIPTS = ("parts.js", "outbox.js", "stage.js", "boxes.js", "masks.js", "sheet.js", "main.js")
SEGMENTS = (100, 300, 1000)  # superpixels of an image, from which the page lets choose
STYLE, SCRIPT = '<link rel="stylesheet" href="/page.css">', '<script src="/page.js" defer></script>'


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def script() -> str:
    return '"use strict";\n' + "\n".join(map(_read, SCRIPTS))


# address -> kind of content, and what makes it
FILES = {
    "/": ("text/html", lambda: _read("page.html")),
    "/page.css": ("text/css", lambda: _read("page.css")),
    "/page.js": ("text/javascript", script),
}


def content(work: Work, items: list[dict]) -> dict:
    """What the page works on, for one annotator (`Desk.items`)."""
    return {
        "study": work.study,
        "task": work.task,
        "classes": work.class_names,
        "width": work.width,
        "height": work.height,
        "suggestions": work.suggestions,
        "segments": SEGMENTS,
        "items": items,
    }


def standalone(work: Work) -> str:
    """The page as one HTML file with the images in it, whose answers are saved to a file (`desk.read_given`)."""
    items = [item for item in work.items if item["left"]]
    images = {item["id"]: read_image(work.images, item["id"]) for item in items}
    data = content(work, items)
    data["round"] = hashlib.sha256(json.dumps(list(images)).encode()).hexdigest()[
        :12
    ]  # a browser keeps those of other files apart
    data["images"] = {image: base64.b64encode(masks.png(pixels)).decode() for image, pixels in images.items()}
    if work.task == "segmentation":
        parts = {
            image: {segments: masks.runs(masks.superpixels(pixels, segments)) for segments in SEGMENTS}
            for image, pixels in images.items()
        }
        data["superpixels"] = parts
    style, code = _read("page.css"), script()
    policy = (
        f"default-src 'none'; script-src '{_digest(code)}'; style-src '{_digest(style)}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    text = json.dumps(data).replace("<", "\\u003c")  # no name ends the element
    data_element = f'<script type="application/json" id="work">{text}</script>'
    return (
        _read("page.html")
        .replace(STYLE, f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>')
        .replace(SCRIPT, "")
        .replace("</body>", f"{data_element}\n<script>{code}</script>\n</body>")
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
