import importlib
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

from samdomain.cli import main
from samdomain.errors import InputError, StoppedError
from samdomain_geo import polygonize, segment
from samdomain_geo.block_store import claim_store
from samdomain_geo.cluster import Cluster
from samdomain_geo.in_process import InProcess
from samdomain_geo.plan import Tiling
from samdomain_geo.run import run

# Dask talks to its workers over the loopback device.
pytestmark = pytest.mark.enable_socket

DEADLY = '''
import os, signal
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from samdomain_geo.regions import RegionsWork

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


def test_a_silent_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no scheduler answers, the address is named."""
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(InputError, match=r"127\.0\.0\.1:9"),
        Cluster(address="tcp://127.0.0.1:9")._client(),
    ):
        pass


def test_two_workers_segment_as_one_does(
    scene: Path, boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raster and polygons of two workers are those of one, byte for byte."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    for name, workers in (("a", 1), ("b", 2)):
        segment(scene, prompts=boxes, out=tmp_path / name, weights="tiny", workers=workers)
    for name in ("instances.tif", "polygons.gpkg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
