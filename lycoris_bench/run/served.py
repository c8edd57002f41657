"""A run folder's page and pictures over the loopback address, for a browser that may not read local
files, or is on another machine behind a tunnel.

Whoever has the address, which holds a secret, may read; what is served is what the page shows and
nothing else: images and pages in three folders, opened step by step without following any link."""

import hmac
import os
import secrets
import shutil
import stat
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.parse import unquote_to_bytes

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")  # a page that another name leads to is not ours
FOLDERS = (b"report", b"images", b"gallery")
KINDS = {b"html": "text/html; charset=utf-8", b"png": "image/png", b"webp": "image/webp"}
ABSENT = b"Nothing is here. Open the whole address that lycoris-bench view printed.\n"
SILENCE = 30  # seconds without a request after which a connection is closed
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Server(ThreadingHTTPServer):
    """Serves one run folder at `address` until it is closed."""

    daemon_threads = True

    def __init__(self, root: Path, page: Path) -> None:
        self.token = secrets.token_urlsafe(32)
        super().__init__((HOST, 0), partial(Handler, root, self.token))
        place = page.relative_to(root).as_posix()
        self.address = f"http://{HOST}:{self.server_address[1]}/{self.token}/{place}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that hangs up is no fault."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; all that may not be read is not there."""

    server_version, sys_version = "lycoris-bench", ""
    timeout = SILENCE

    def __init__(self, root: Path, token: str, *given: object) -> None:
        self.root, self.token = root, token
        super().__init__(*given)  # type: ignore[arg-type]  # it answers from within

    def do_GET(self) -> None:
        if file := self._found():
            with file:
                shutil.copyfileobj(file, self.wfile)

    def do_HEAD(self) -> None:
        if file := self._found():
            file.close()

    def _found(self) -> IO[bytes] | None:
        """The file that is asked for, once its headers are sent; None: the answer is complete."""
        kind = None
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host in NAMES and (parts := parts_of(self.path, self.token)):
            kind = KINDS.get(parts[-1].rpartition(b".")[2])
        file = opened(self.root, parts) if kind else None
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", str(kind))
        self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
        self.end_headers()
        return file

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The status, and one sentence: nothing of what was asked is repeated."""
        code = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else code
        self.send_response(code, HTTPStatus(code).phrase)
        if code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        said = ABSENT if code == HTTPStatus.NOT_FOUND else b""
        self.send_header("Connection", "close")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(said)

    def log_message(self, format: str, *values: object) -> None:
        """Nothing is printed: what is asked may be anything."""


def parts_of(path: str, token: str) -> list[bytes]:
    """Names of folders and of the file in the path of a request; empty without the right token, or
    where a name is none.

    >>> parts_of("/secret/report/a%20b.html?x", "secret"), parts_of("/secret/report/../a", "secret")
    ([b'report', b'a b.html'], [])
    """
    start, given, *names = path.partition("?")[0].split("/")
    if start or not hmac.compare_digest(given.encode(), token.encode()):
        return []
    parts = [unquote_to_bytes(name) for name in names]
    if any(name in (b"", b".", b"..") or b"/" in name or b"\0" in name for name in parts):
        return []
    return parts if len(parts) > 1 and parts[0] in FOLDERS else []


def opened(root: Path, parts: Sequence[bytes]) -> IO[bytes] | None:
    """A plain file, reached from the root through folders and no link; None where there is none."""
    place = -1
    try:
        place = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        for name in parts:
            kind = (
                os.O_NONBLOCK if name is parts[-1] else os.O_DIRECTORY
            )  # a pipe is not waited for
            inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=place)
            os.close(place)
            place = inner
        if stat.S_ISREG(os.fstat(place).st_mode):
            file = os.fdopen(place, "rb")
            place = -1
            return file
    except OSError:
        pass
    finally:
        if place >= 0:
            os.close(place)
    return None
