"""The programs that draw the figures of the page, Vega, Vega-Lite and Vega-Embed, as one text of JavaScript."""

import contextlib
import os
from pathlib import Path

from dagal import storage
from dagal.errors import UserError


def bundle() -> str:
    """The text that vl-convert brings along. Putting it together takes seconds, so it is kept in the user's folder for such things."""
    import vl_convert

    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "dagal"
    path = folder / f"vega-{vl_convert.__version__}.js"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    text = vl_convert.javascript_bundle()
    with contextlib.suppress(UserError, OSError):  # a home that cannot be written costs the seconds, nothing else
        folder.mkdir(parents=True, exist_ok=True)
        storage.write_bytes(path, text.encode())
    return text
