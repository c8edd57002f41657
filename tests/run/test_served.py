"""The server of a run folder, over a real socket: what it gives, and what it never gives."""

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from lycoris_bench.run.served import ABSENT, Server

ODD = "a b%2F<i>'😀"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run folder, and a secret beside it."""
    run = tmp_path / "run"
    for name in ("report", f"images/{ODD}", "gallery", "checkpoints", "images/deep.png"):
        (run / name).mkdir(parents=True)
    (run / "report/index.html").write_text("<p>page")
    (run / "images" / ODD / "00000.png").write_bytes(b"\x89PNG drawn")
    (run / "gallery/a.webp").write_bytes(b"RIFF")
    (run / "gallery/index.json").write_text("{}")
    (run / "checkpoints/a.png").write_text("weights")
    (run / "study.toml").write_text("name = 'secret'")
    (tmp_path / "outside.png").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.png").write_text("secret")
    (run / "images/link.png").symlink_to(tmp_path / "outside.png")
    (run / "images/inside.png").symlink_to(run / "checkpoints/a.png")
    (run / "images/folder").symlink_to(tmp_path / "outside")
    os.mkfifo(run / "images/pipe.png")
    return run


@pytest.fixture
def server(root: Path) -> Iterator[Server]:
    with Server(root, root / "report/index.html") as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join(10)


def asked(
    server: Server, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_the_address_opens_the_page_and_what_it_shows(server: Server) -> None:
    place = urlsplit(server.address)
    assert place.hostname == "127.0.0.1" and len(server.token) >= 40
    status, headers, body = asked(server, place.path)
    assert (status, body) == (200, b"<p>page")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer" and headers["Cache-Control"] == "no-store"
    drawn = f"/{server.token}/images/{quote(ODD)}/00000.png"
    assert asked(server, drawn)[2] == b"\x89PNG drawn"
    assert asked(server, drawn + "?again")[0] == 200
    assert asked(server, f"/{server.token}/gallery/a.webp")[1]["Content-Type"] == "image/webp"


def test_a_head_is_the_headers_alone(server: Server) -> None:
    status, headers, body = asked(server, urlsplit(server.address).path, "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "7", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_nothing_but_reading(server: Server, method: str) -> None:
    status, headers, body = asked(server, urlsplit(server.address).path, method)
    assert (status, headers["Allow"], body) == (405, "GET, HEAD", b"")


def test_without_the_token_nothing_is_there(server: Server) -> None:
    other = "A" * len(server.token)
    for start in ("", f"/{other}", f"/{server.token[:-1]}", f"/{server.token}x", "/%"):
        for name in ("/report/index.html", "/gallery/a.webp", "/"):
            status, _, body = asked(server, start + name)
            assert (status, body) == (404, ABSENT)


@pytest.mark.parametrize(
    "path",
    [
        "study.toml", "checkpoints/a.png", "gallery/index.json", "", "report", "report/",
        "report/../study.toml", "images/../../outside.png", "images/%2e%2e/%2e%2e/outside.png",
        "images/..%2f..%2foutside.png", "images/%2e%2e%2foutside.png", "./report/index.html",
        "images//link.png", "images/link.png", "images/inside.png", "images/folder/a.png",
        "images/deep.png", "images/pipe.png", "images/none.png", "images/a%00.png",
        "/etc/hostname.png", "images/%2Fetc%2Fhostname.png", "report/index.html/",
        "images\\..\\..\\outside.png", f"images/{'x' * 5000}.png",
    ],
)  # fmt: skip
def test_what_the_page_does_not_show_is_not_there(server: Server, path: str) -> None:
    status, _, body = asked(server, f"/{server.token}/{path}")
    assert (status, body) == (404, ABSENT)


@pytest.mark.parametrize("name", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_name_that_is_not_this_machine_reads_nothing(server: Server, name: str) -> None:
    path = urlsplit(server.address).path
    assert asked(server, path, Host=name)[0] == 404
    assert asked(server, path, Host=f"localhost:{server.server_address[1]}")[0] == 200


def test_what_is_no_request_is_answered_and_the_server_lives(server: Server) -> None:
    odd = b"GET /\xe9/report/index.html HTTP/1.0\r\n\r\n"
    for nonsense in (
        b"\0\xff\n\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        odd,
        b"G" * 70_000 + b"\n",
    ):
        with socket.create_connection(("127.0.0.1", server.server_address[1]), 20) as line:
            line.sendall(nonsense)
            assert b"secret" not in line.recv(1000)
    assert asked(server, urlsplit(server.address).path)[0] == 200


def test_only_this_machine_is_listened_to(server: Server) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
