"""A small HTTP server on this machine, for tests of downloads."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

import pytest


@dataclass
class Site:
    """What the server offers at every address, and how it behaves.

    Attributes:
        content: the file.
        tag: its ETag; none is sent where empty.
        date: its Last-Modified; none is sent where empty.
        ranges: whether it knows ranges.
        conditions: whether it knows If-Range.
        cut: bytes after which a connection ends, once.
        status: status of every answer, where not 200 or 206.
        requests: the headers Range and If-Range of each request.
    """

    content: bytes = b""
    tag: str = '"one"'
    date: str = ""
    ranges: bool = True
    conditions: bool = True
    cut: int | None = None
    status: int = 200
    requests: list[tuple[str | None, str | None]] = field(default_factory=list)
    url: str = ""

    def answer(self, asked: str | None, condition: str | None) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a request."""
        versions = {"ETag": self.tag, "Last-Modified": self.date}
        headers = {name: value for name, value in versions.items() if value}
        if self.status != 200:
            return self.status, {}, b""
        if not asked or not self.ranges or (self.conditions and condition not in headers.values()):
            return 200, headers, self.content
        start, size = int(asked.removeprefix("bytes=").removesuffix("-")), len(self.content)
        if start >= size:
            return 416, {"Content-Range": f"bytes */{size}"}, b""
        return (
            206,
            headers | {"Content-Range": f"bytes {start}-{size - 1}/{size}"},
            self.content[start:],
        )


@pytest.fixture
def site(socket_enabled: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serve a file on 127.0.0.1 while the test runs."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            asked, condition = self.headers["Range"], self.headers["If-Range"]
            site.requests.append((asked, condition))
            status, headers, body = site.answer(asked, condition)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: site.cut])
            site.cut = None

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}/weights.pth"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield site
        server.shutdown()
        thread.join(timeout=10)
