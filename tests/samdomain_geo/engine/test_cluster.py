import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

from samdomain.cli import main
from samdomain.errors import InputError, StoppedError
from samdomain_geo import polygonize, segment
from samdomain_geo.engine.block_store import claim_store
from samdomain_geo.engine.cluster import Cluster
from samdomain_geo.engine.in_process import InProcess
from samdomain_geo.engine.plan import Tiling
from samdomain_geo.engine.run import run
from samdomain_geo.scenes.chips import Chips

# Dask talks to its workers over the loopback device.
pytestmark = pytest.mark.enable_socket

DEADLY = '''
import os, signal
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from samdomain_geo.polygons.regions import RegionsWork

@dataclass(frozen=True)
class Deadly(RegionsWork):
    """Work whose third block kills its process, as often as there are files that allow it."""
    folder: Path = Path()

    @contextmanager
    def open(self, manifest):
        (self.folder / f"opened-{os.getpid()}").touch()
        with super().open(manifest) as worker:
            compute = worker.compute
            def deadly(block, source):
                lives = list(self.folder.glob("life-*"))
                if block.index == 2 and lives:
                    lives[0].unlink()
                    os.kill(os.getpid(), signal.SIGKILL)
                return compute(block, source)
            worker.compute = deadly
            yield worker
'''


@pytest.fixture
def mask(write_scene: Any) -> Path:
    """Regions of random classes over six blocks."""
    classes = np.random.default_rng(5).integers(0, 4, (20, 30))
    return write_scene(np.kron(classes, np.ones((50, 50))).astype(np.uint8)[None], "mask.tif")


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make work that kills its worker a number of times."""
    (tmp_path / "deadly_work.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    work = importlib.import_module("deadly_work").Deadly

    def make(lives: int) -> Any:
        for number in range(lives):
            (tmp_path / f"life-{number}").touch()
        return work(folder=tmp_path)

    return make


def blocks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.block")}


def test_two_workers_make_the_same_file(
    mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of two workers is that of none, byte for byte."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    for name, workers in (("a", None), ("b", 2)):
        out = tmp_path / name / "p.gpkg"
        polygonize(mask, out=out, block=512, workers=workers, simplify=1)
    one, other = (tmp_path / name / "p.gpkg" for name in "ab")
    assert one.read_bytes() == other.read_bytes()


def test_lost_workers_are_survived_or_told(
    mask: Path, tmp_path: Path, plan: Any, deadly: Any
) -> None:
    """A killed worker is replaced, its model loaded again; a block that kills more is told of."""
    here = claim_store(tmp_path / "here", plan(mask, Tiling(512)), resume=False)
    run(here, deadly(0), InProcess())
    there = claim_store(tmp_path / "there", plan(mask, Tiling(512)), resume=False)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(StoppedError, match="lost several workers"),
    ):
        run(there, deadly(1), Cluster(workers=1))
    assert 2 in there.missing()
    run(there, deadly(1), Cluster(workers=1))
    assert blocks(here.folder) == blocks(there.folder)
    # Once here and in each of three workers at least; the one after the stop may be on its way.
    assert len(list(tmp_path.glob("opened-*"))) in (4, 5)


def test_flags_are_checked(mask: Path, tmp_path: Path, capsys: Any) -> None:
    """Wrong numbers and addresses end with exit 2."""
    for flags, message in (
        (["--workers", "0"], "--workers is 0"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "one of them"),
        (["--part", "3/2"], "--part is '3/2'"),
        (["--part", "x"], "for example 2/8"),
    ):
        assert main(["polygonize", str(mask), "--out", str(tmp_path / "p.gpkg"), *flags]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["probability", "instances"])
def test_a_toy_network_gives_the_same_on_workers(
    write_scene: Any, tmp_path: Path, plan: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Blocks of a network on two workers are those of one process, and so is their mosaic."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    toy = importlib.import_module("toy_work")
    rng = np.random.default_rng(1)
    bright = np.kron(rng.integers(0, 2, (44, 44)) * 200, np.ones((25, 25)))
    scene = write_scene((bright + rng.integers(1, 50, bright.shape)).astype(np.uint8)[None])
    stores = []
    for name, scheduler in (("here", InProcess()), ("there", Cluster(workers=2))):
        stores.append(claim_store(tmp_path / name, plan(scene, Tiling(512, 64)), resume=False))
        spent = run(stores[-1], toy.works(Chips(200, 40, 8, 2))[kind], scheduler)
        assert spent["blocks"] == 9
        assert min(spent["read"], spent["compute"], spent["write"]) > 0
    assert blocks(stores[0].folder) == blocks(stores[1].folder)
    results = [toy.results(store, kind) for store in stores]
    assert all((results[0][name] == results[1][name]).all() for name in results[0])


@dataclass
class Live:
    """A Dask scheduler and its workers, each a process of its own."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)


def started(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen([sys.executable, "-m", *words], stdout=file, stderr=file)


@pytest.fixture
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Start a scheduler and two workers as an administrator would."""
    folder = tmp_path_factory.mktemp("dask")
    told = folder / "scheduler.json"
    with ExitStack() as stack:

        def start(name: str, words: list[str]) -> subprocess.Popen[bytes]:
            process = started([f"distributed.cli.dask_{name}", *words], folder / f"{name}.log")
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        scheduler = start("scheduler", [*words, "--scheduler-file", str(told)])
        until(lambda: told.exists() and told.read_text().endswith("}"))
        cluster = Live(json.loads(told.read_text())["address"], scheduler)
        words = ["--no-nanny", "--no-dashboard", "--nthreads", "3"]
        words += ["--local-directory", str(folder), cluster.address]
        cluster.workers = [start("worker", words) for _ in range(2)]
        yield cluster


def until(happened: Any, seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def many(write_scene: Any) -> Path:
    """Regions of random classes over 49 blocks."""
    classes = np.random.default_rng(5).integers(0, 4, (350, 350))
    return write_scene(np.kron(classes, np.ones((10, 10))).astype(np.uint8)[None], "many.tif")


def begun(mask: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    words = ["polygonize", str(mask), "--out", str(out), "--block", "512", "--quiet", *flags]
    command = [sys.executable, "-m", "samdomain", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_worker_killed_in_mid_run_changes_nothing(
    many: Path, tmp_path: Path, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a running scheduler one of two workers is killed: the other does the rest, same bytes."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    polygonize(many, out=tmp_path / "here" / "p.gpkg", block=512)
    out = tmp_path / "p.gpkg"
    process = begun(many, out, "--scheduler", live.address)
    until(lambda: len(list(tmp_path.glob("p.gpkg.blocks/*.block"))) > 2 or process.poll())
    os.kill(live.workers[0].pid, signal.SIGKILL)
    assert len(list(tmp_path.glob("p.gpkg.blocks/*.block"))) < 49
    _, err = process.communicate(timeout=200)
    assert (process.returncode, err) == (0, "")
    assert live.workers[1].poll() is None
    assert out.read_bytes() == (tmp_path / "here" / "p.gpkg").read_bytes()


def test_a_lost_scheduler_stops_the_run(many: Path, tmp_path: Path, live: Live) -> None:
    """A scheduler that dies in mid-run ends it with exit 3 and one line; --resume goes on."""
    out = tmp_path / "p.gpkg"
    process = begun(many, out, "--scheduler", live.address)
    until(lambda: len(list(tmp_path.glob("p.gpkg.blocks/*.block"))) > 2 or process.poll())
    os.kill(live.scheduler.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 3, err
    assert err.splitlines() == [
        "samdomain: error: the Dask scheduler is gone; finished blocks are kept: run again with "
        "--resume"
    ]
    assert not out.exists()
    polygonize(many, out=out, block=512, resume=True)
    assert out.exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nowhere", "odd://x:1"])
def test_a_silent_address_is_refused(address: str) -> None:
    """Where no scheduler answers, the address is named within seconds."""
    start = time.monotonic()
    with (
        pytest.raises(InputError, match=f"no Dask scheduler answers at {address}"),
        Cluster(address=address)._client(),
    ):
        pass
    assert time.monotonic() - start < 20  # Dask's own patience is 30


def test_a_silent_address_is_one_line(mask: Path, tmp_path: Path) -> None:
    """The command says no more than that, and leaves nothing behind."""
    process = begun(mask, tmp_path / "p.gpkg", "--scheduler", "tcp://127.0.0.1:9")
    printed, err = process.communicate(timeout=200)
    assert (process.returncode, printed) == (2, "")
    (line,) = err.splitlines()
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in line
    assert not list(tmp_path.glob("p.gpkg*"))


def test_two_workers_segment_as_one_does(
    scene: Path, boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raster and polygons of two workers are those of one, byte for byte."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    for name, workers in (("a", 1), ("b", 2)):
        segment(scene, prompts=boxes, out=tmp_path / name, weights="tiny", workers=workers)
    for name in ("instances.tif", "polygons.gpkg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
