"""Kill `samdomain polygonize` in each of its stages, resume it, and compare the bytes."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES = ("plan",) * 3 + ("run",) * 4 + ("finish",) * 3
PLAN = 0.3  # seconds before the manifest in which the mask is looked at


@dataclass(frozen=True)
class Moments:
    """Seconds after its start at which an undisturbed run came to its stages."""

    manifest: float
    block: float
    finish: float
    end: float

    def begin(self, stage: str) -> float:
        """Return when a stage begins."""
        return {"plan": max(0.0, self.manifest - PLAN), "run": self.block, "finish": self.finish}[
            stage
        ]

    def length(self, stage: str) -> float:
        """Return how long a stage lasts."""
        ends = {"plan": self.block, "run": self.finish, "finish": self.end}
        return ends[stage] - self.begin(stage)


def kills(folder: Path) -> dict[str, Any]:
    """Kill ten runs at random moments, and resume each.

    Args:
        folder: holds mask.tif.

    Returns:
        dict: where each kill hit, and how many ended in the bytes of a run without one.
    """
    os.environ["SOURCE_DATE_EPOCH"] = "1000000000"
    usual = watched(folder)
    chance = random.Random(5)
    trials: list[dict[str, Any]] = []
    for number, stage in enumerate(STAGES):
        trial = killed(folder, f"k{number}", stage, chance.random() * usual.length(stage), usual)
        same = [
            (folder / f"k{number}.{kind}").read_bytes() == (folder / f"whole.{kind}").read_bytes()
            for kind in ("gpkg", "qml")
        ]
        trials.append({**trial, "equal": all(same)})
    return {
        "kills": trials,
        "equal": sum(trial["equal"] for trial in trials),
        "of": len(trials),
        "left_behind": [path.name for path in folder.iterdir() if "blocks" in path.name],
    }


def watched(folder: Path) -> Moments:
    """Run without a kill, and note when its stages begin."""
    start = time.perf_counter()
    process = begin(folder, "whole")
    seen = [wait(process, marker) - start for marker in markers(folder, "whole").values()]
    if process.wait():
        raise RuntimeError(f"the run without a kill ended with {process.returncode}")
    return Moments(*seen, time.perf_counter() - start)


def killed(folder: Path, name: str, stage: str, after: float, usual: Moments) -> dict[str, Any]:
    """Kill a run some seconds after a stage began, tell where it was, and run it to its end."""
    process = begin(folder, name)
    if stage == "plan":  # nothing can be seen of it before the manifest
        time.sleep(usual.begin(stage))
    else:
        wait(process, markers(folder, name)[stage])
    time.sleep(after)
    process.kill()
    process.wait()
    state = told(folder, name)
    subprocess.run([*command(folder, name), "--resume"], check=True, stdout=subprocess.DEVNULL)
    return {"stage": stage, "after_s": round(after, 3), "found": state}


def markers(folder: Path, name: str) -> dict[str, Callable[[], bool]]:
    """Return what tells that a stage has begun."""
    blocks = folder / f"{name}.gpkg.blocks"
    return {
        "plan": (blocks / "manifest.json").exists,
        "run": lambda: any(blocks.glob("*.block")),
        "finish": (blocks / "finish").exists,
    }


def wait(process: subprocess.Popen[bytes], happened: Callable[[], bool]) -> float:
    """Wait until something has happened or the process ended, and return the time."""
    while not happened() and process.poll() is None:
        time.sleep(0.001)
    return time.perf_counter()


def told(folder: Path, name: str) -> str:
    """Tell what a killed run has left."""
    blocks = folder / f"{name}.gpkg.blocks"
    if (folder / f"{name}.gpkg").exists():
        return "the file is there"
    if not blocks.exists():
        return "nothing"
    done = len(list(blocks.glob("*.block")))
    if (blocks / "finish").exists():
        return f"{done} blocks, and a file that was being written"
    return f"{done} blocks" if (blocks / "manifest.json").exists() else "no manifest"


def begin(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Start making polygons of the mask."""
    return subprocess.Popen(command(folder, name), stdout=subprocess.DEVNULL)


def command(folder: Path, name: str) -> list[str]:
    """Return the command that makes polygons of the mask."""
    out = str(folder / f"{name}.gpkg")
    words = ["polygonize", str(folder / "mask.tif"), "--out", out, "--block", "512", "--quiet"]
    return [sys.executable, "-m", "samdomain", *words]
