"""Scenes behind URLs are read by range requests."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.windows import Window

from samdomain.cli import main
from samdomain_geo import segment
from samdomain_geo.engine.identity import Identity
from samdomain_geo.scenes.raster import open_scene, write_cog
from samdomain_geo.scenes.source import (
    RemoteVersion,
    file_name,
    is_remote,
    public_name,
    remote_version,
)

pytestmark = pytest.mark.enable_socket  # the server is on this machine


@dataclass
class Site:
    """A server of one file on this machine, which counts what it sends."""

    content: bytes
    port: int = 0
    sent: int = 0
    requests: list[str] = field(default_factory=list)
    broken: range = range(0)  # bytes of the file that cannot be had

    def url(self, name: str = "scene.tif") -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer as RFC 9110 says, section 14, for one range."""
        self.requests.append(f"{request.command} {request.path}")
        if not request.path.startswith("/scene.tif"):
            request.send_error(HTTPStatus.NOT_FOUND)
            return
        first, last = self.wanted(request)
        part = "Range" in request.headers
        if part and first < self.broken.stop and last >= self.broken.start:
            request.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        body = self.content[first : last + 1]
        request.send_response(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("ETag", '"v1"')
        request.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        if part:
            request.send_header("Content-Range", f"bytes {first}-{last}/{len(self.content)}")
        request.end_headers()
        if request.command == "GET":
            self.sent += len(body)
            request.wfile.write(body)

    def wanted(self, request: BaseHTTPRequestHandler) -> tuple[int, int]:
        end = len(self.content) - 1
        given = request.headers.get("Range", "").removeprefix("bytes=")
        first, _, last = given.partition("-")
        return (int(first), min(int(last or end), end)) if given else (0, end)


@pytest.fixture(scope="module")
def cog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COG of 3400 x 3400 pixels of noise, 12 MB, with overviews."""
    folder = tmp_path_factory.mktemp("cog")
    pixels = np.random.default_rng(0).integers(0, 255, (1, 3400, 3400), dtype=np.uint8)
    transform = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 30_000)
    with rasterio.open(
        folder / "plain.tif", "w", driver="GTiff", width=3400, height=3400, count=1,
        dtype="uint8", crs="EPSG:32636", transform=transform,
    ) as target:  # fmt: skip
        target.write(pixels)
    write_cog(folder / "plain.tif", folder / "scene.tif", {"overview_resampling": "AVERAGE"})
    return folder / "scene.tif"


@pytest.fixture
def site(cog: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")  # or a failing server is asked for seconds
    monkeypatch.setenv("GDAL_HTTP_PROXY", "")
    site = Site(cog.read_bytes())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.answer(self)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *words: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        site.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """Two boxes of 20 m, far from one another."""
    squares = [
        shapely.box(500_100, 29_800, 500_120, 29_820),
        shapely.box(501_900, 28_100, 501_920, 28_120),
    ]
    path = tmp_path / "boxes.gpkg"
    gpd.GeoDataFrame(geometry=squares, crs=32636).to_file(path)
    return path


def test_windows_are_read_by_ranges(site: Site, cog: Path, boxes: Path) -> None:
    """A run over a URL gives what one over the file gives, for a small share of its bytes."""
    folder = boxes.parent
    there = segment(site.url(), prompts=boxes, out=folder / "there", weights="tiny")
    sent = site.sent
    here = segment(cog, prompts=boxes, out=folder / "here", weights="tiny")
    assert there.objects.equals(here.objects)
    # The picture takes most of it: an overview of half the size, a fifth of the file.
    assert 0 < sent < len(site.content) * 0.25
    assert {line.split("?")[0] for line in site.requests} <= {"GET /scene.tif", "HEAD /scene.tif"}


@pytest.mark.parametrize("prefix", ["", "/vsicurl/"])
def test_a_window_costs_its_tiles(site: Site, prefix: str) -> None:
    """To open a scene and to read a window takes the header and a few of its 49 tiles."""
    with open_scene(prefix + site.url("scene.tif?window")) as opened:
        opened.read(Window(1100, 1100, 200, 200))
    assert 0 < site.sent < len(site.content) * 0.05


def test_the_record_tells_the_version_without_a_download(site: Site) -> None:
    """A remote input has size, ETag and date in place of a digest, for one byte."""
    version = '"v1" Thu, 01 Jan 2026 00:00:00 GMT'
    for path in (site.url(), f"/vsicurl/{site.url()}"):
        told = Identity.of(path)
        assert told == Identity(path, len(site.content), "", version)
        assert told.record()["sha256"] is None
    assert site.sent <= 2  # the server counts when it has answered


def test_a_silent_server_has_no_version(site: Site) -> None:
    """What cannot be asked stays unknown, and is no error."""
    unknown = RemoteVersion(size=None, etag=None, last_modified=None)
    for path in (site.url("gone.tif"), "http://127.0.0.1:9/x.tif", "s3://bucket/x.tif"):
        assert remote_version(path) == unknown


def test_keys_in_a_url_are_not_recorded(site: Site, boxes: Path) -> None:
    """Neither the record nor the raster's tags tell the query of a signed URL."""
    out = boxes.parent / "out"
    segment(site.url("scene.tif?key=s3cret"), prompts=boxes, out=out, weights="tiny")
    record = json.loads((out / "run.json").read_text())
    assert record["inputs"]["scene"]["path"] == site.url()
    assert record["inputs"]["scene"]["size"] == len(site.content)
    assert not any(b"s3cret" in path.read_bytes() for path in out.iterdir())


def test_names_of_urls() -> None:
    """A URL is told by its last part, and shown without user and query."""
    assert public_name("https://me:key@host.org/a/b.tif?sig=1#x") == "https://host.org/a/b.tif"
    assert public_name("/data/a?b.tif") == "/data/a?b.tif"
    assert file_name("/vsicurl/https://host.org/a/b.tif?sig=1") == "b.tif"
    assert file_name("folder/b.tif") == "b.tif"
    assert [is_remote(p) for p in ("s3://b/x.tif", "/vsizip/a.zip/x.tif", "x.tif")] == [1, 0, 0]


def refused(capsys: pytest.CaptureFixture, scene: str, boxes: Path) -> tuple[int, str]:
    """Run the command, check that it left one line and no results, and return code and line."""
    out = boxes.parent / "out"
    proof = out / "run.json"
    code = main(["segment", scene, "--prompts", str(boxes), "--out", str(out), "--weights", "tiny"])
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if "error" in line.lower()]
    assert errors == lines[-1:]
    assert not proof.exists()
    return code, lines[-1]


def test_a_missing_file_is_one_line(site: Site, boxes: Path, capsys: Any) -> None:
    """404 is exit 2."""
    code, line = refused(capsys, site.url("gone.tif"), boxes)
    assert code == 2
    assert "gone.tif" in line


def test_a_dead_server_is_one_line(boxes: Path, capsys: Any) -> None:
    """A URL that nobody answers is exit 2."""
    code, line = refused(capsys, "http://127.0.0.1:9/scene.tif", boxes)
    assert code == 2
    assert "127.0.0.1:9" in line


def test_a_server_that_fails_midway_stops_the_run(site: Site, boxes: Path, capsys: Any) -> None:
    """Pixels that cannot be fetched are exit 3 with advice; the run goes on when they can be."""
    # Overviews take the first fifth of the file; the last tile is read on opening.
    site.broken = range(len(site.content) // 5, len(site.content) // 3)
    code, line = refused(capsys, site.url("scene.tif?failing"), boxes)
    assert code == 3
    assert "server failed" in line
    site.broken = range(0)
    out = boxes.parent / "out"
    words = ["--prompts", str(boxes), "--out", str(out), "--weights", "tiny", "--resume"]
    assert main(["segment", site.url("scene.tif?failing"), *words]) == 0
    assert not (out / ".blocks").exists()
