"""The labeling page on this machine: a server for one person, which other pages, machines and users cannot use.

It listens on the loopback device alone. Whoever asks must know the token, which the address on the screen carries and a cookie keeps;
must name this server as its host, so that no name of another site leads here (DNS rebinding); and a page of another origin
is refused. No path of a file is ever made of an address: what can be asked for is a fixed list, and images by their number.
"""

import functools
import hmac
import json
import re
import secrets
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from dagal.errors import UserError
from dagal.labeling import answers, masks, pages
from dagal.labeling.desk import Desk, checked, read_image, read_work

ADDRESS = "127.0.0.1"
MOST_BYTES = 32 << 20  # of a request: masks of a few hundred images
KEPT = ".page.json"  # beside the answers: port and token
SECONDS = 60  # until a connection that says nothing is closed
SEGMENTS = (20, 10_000)  # least and most superpixels of an image
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def refusal(method: str, target: str, headers, port: int, token: str) -> tuple[HTTPStatus, str] | None:
    """Why a request is refused, whatever it asks for: status and sentence; None if it may go on.

    ``headers`` has ``get`` that takes no notice of case; ``target`` is the path with its query.
    """
    hosts = {f"{name}:{port}" for name in (ADDRESS, "localhost")}
    if headers.get("Host") not in hosts:
        return HTTPStatus.MISDIRECTED_REQUEST, "this server answers to its own address only"
    origin = headers.get("Origin")
    if origin is not None and origin not in {f"http://{host}" for host in hosts}:
        return HTTPStatus.FORBIDDEN, "pages of other origins are refused"
    given = headers.get("X-Dagal-Token") or token_of_cookie(headers.get("Cookie") or "", port)
    if method == "GET" and urlsplit(target).path == "/":
        given = parse_qs(urlsplit(target).query).get("token", [given])[0]
    if not hmac.compare_digest(given.encode(), token.encode()):
        return HTTPStatus.UNAUTHORIZED, "open the address that `dagal label` printed, with its token"
    if method == "POST":
        size = headers.get("Content-Length") or ""
        if headers.get("Content-Type") != "application/json":
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "answers are JSON"
        if not (size.isascii() and size.isdecimal()) or headers.get("Transfer-Encoding"):
            return HTTPStatus.LENGTH_REQUIRED, "the size of a request must be known before"
        if len(size) > 12 or int(size) > MOST_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MOST_BYTES:,} bytes"
    return None


def cookie(port: int) -> str:
    """Its name: cookies are not kept apart by port."""
    return f"dagal-label-{port}"


def token_of_cookie(header: str, port: int) -> str:
    """The token in a Cookie header, or nothing."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return next((value for name, _, value in pairs if name == cookie(port)), "")


class Handler(BaseHTTPRequestHandler):
    """Answers one connection after it has passed `refusal`."""

    server_version, sys_version = "dagal", ""
    timeout = SECONDS

    def do_GET(self) -> None:
        self._checked(self._get)

    def do_POST(self) -> None:
        self._checked(self._post)

    def _checked(self, go_on) -> None:
        refused = refusal(self.command, self.path, self.headers, self.server.server_port, self.server.token)
        if refused:
            self._reply(refused[0], "text/plain", refused[1].encode())
            return
        try:
            go_on(urlsplit(self.path))
        except UserError as error:
            self._reply(HTTPStatus.BAD_REQUEST, "text/plain", str(error).encode())

    def _get(self, address) -> None:
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        image = re.fullmatch(r"/(images|superpixels)/(\d{1,18})", address.path, re.ASCII)
        if (
            address.path == "/" and "token" in query
        ):  # out of the address, so that no history, link or screenshot has it
            token = f"{cookie(self.server.server_port)}={self.server.token}; Path=/; HttpOnly; SameSite=Strict"
            self._reply(HTTPStatus.SEE_OTHER, "text/plain", b"", {"Location": "/", "Set-Cookie": token})
        elif address.path in pages.FILES:
            kind, text = pages.FILES[address.path]
            self._reply(HTTPStatus.OK, kind, text().encode())
        elif address.path == "/work":
            self._reply_json(self.server.work_for(query.get("annotator", "")))
        elif image and int(image[2]) in self.server.ids:
            if image[1] == "images":
                self._reply(HTTPStatus.OK, "image/png", masks.png(read_image(self.server.work.images, int(image[2]))))
            else:
                self._reply_json(self.server.superpixels(int(image[2]), query.get("segments", "")))
        else:
            self._reply(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page")

    def _post(self, address) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if address.path != "/answers":
            self._reply(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page")
            return
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, list):
            raise UserError("answers are a list in JSON.")
        new = [checked(one, self.server.work) for one in given]
        try:
            number = self.server.desk.take(new)
        except (OSError, UserError) as error:  # a full disk: the page keeps them and tries again
            self._reply(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", str(error).encode())
            return
        self._reply_json({"new": number})

    def _reply_json(self, content) -> None:
        self._reply(HTTPStatus.OK, "application/json", json.dumps(content).encode())

    def _reply(self, status: HTTPStatus, kind: str, content: bytes, more: dict | None = None) -> None:
        self.send_response(status)
        text = kind.startswith("text/") or kind.endswith("/json")
        length = {"Content-Type": f"{kind}; charset=utf-8" if text else kind, "Content-Length": str(len(content))}
        for name, value in (HEADERS | length | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        """Nothing: the address of a request may hold the token."""


class Server(ThreadingHTTPServer):
    """The page of one study."""

    daemon_threads = True

    def __init__(self, results: Path, port: int, token: str):
        self.results, self.token = results, token
        self.desk = Desk(results)
        self.work = read_work(results)
        self.ids = frozenset(self.work.ids)
        super().__init__((ADDRESS, port), Handler)

    def work_for(self, annotator: str) -> dict:
        """What the page of this annotator shows; read anew, as the study may have gone on."""
        self.work = read_work(self.results)
        self.ids = frozenset(self.work.ids)
        return pages.content(self.work, self.desk.items(annotator, self.work))

    def superpixels(self, image: int, segments: str) -> list[int]:
        least, most = SEGMENTS
        number = int(segments) if re.fullmatch(r"\d{1,6}", segments, re.ASCII) else 0
        if not least <= number <= most:
            raise UserError(f"segments must be a number from {least} to {most}.")
        return superpixels(self.work.images, image, number)

    def handle_error(self, request, client_address) -> None:
        """A browser that was closed in the middle of a reply is no error."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


@functools.lru_cache(maxsize=64)
def superpixels(images: Path, image: int, segments: int) -> list[int]:
    """Superpixels of an image, as runs."""
    return masks.runs(masks.superpixels(read_image(images, image), segments))


def start(results: Path, port: int | None) -> Server:
    """A server at the given ``port``, or at that of the last time if it is free, or at any one.

    A page that is still open goes on after a restart, and sends what it kept: so port and token are kept, in a file that only
    its owner may read. Raises UserError if the port is not free, or nothing waits for labels.
    """
    path = results / answers.FOLDER / KEPT
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # the first time, or a kill cut it off
        kept = {"port": 0, "token": secrets.token_urlsafe(32)}
    for number in [kept["port"], 0] if port is None else [port]:
        try:
            server = Server(results, number, kept["token"])
            break
        except (OSError, OverflowError):
            continue
    else:
        raise UserError(f"--port {port} is not free on {ADDRESS}: give another one, or none.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"port": server.server_port, "token": kept["token"]}), encoding="utf-8")
    return server
