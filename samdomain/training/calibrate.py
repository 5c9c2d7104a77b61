"""The work behind `samdomain calibrate`: how many images a batch may have."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field

import psutil
import torch

from samdomain.door import Facts, Report
from samdomain.recipes import total
from samdomain.training.command import Built, Command
from samdomain.training.dataset import collate, read_item
from samdomain.training.fit import quiet_warnings

SHARE = 0.8
"""Share of the free memory that a batch may take: other programs live there too."""

LARGEST = 256
"""Images that are tried at most; larger batches hardly train faster."""

_MEGABYTE = 2**20
_TICK = 0.005  # seconds between two looks at the memory


def calibrate(words: Sequence[str]) -> Report:
    """Find the largest batch; see `samdomain calibrate --help`."""
    command = Command("calibrate", words)
    with quiet_warnings(), redirect_stdout(sys.stderr):
        built = command.build(command.seeds()[0])
        images = len(built.data.found("train").samples)
        device = command.device()
        built.module.to(device)
        half = "bf16" in str(command.config.trainer.precision)
        probe = Probe(built, device, torch.bfloat16 if half else None)
        found: dict[int, int] = {}
        for place in range(len(built.module.recipe.stages)):
            built.module.start(place)
            for size, peak in climb(probe, free(device), min(images, LARGEST)).items():
                found[size] = max(found.get(size, 0), peak)
    largest = largest_batch(found, free(device), min(images, LARGEST))
    return Facts(
        {
            "batch_size": largest,
            "free memory in MB": free(device) // _MEGABYTE,
            "measured": {f"{n} images": f"{peak // _MEGABYTE} MB" for n, peak in found.items()},
            "use it as": f"--data.batch_size {largest}",
        }
    )


@dataclass(frozen=True, eq=False)
class Probe:
    """Measure what a training step of n images takes."""

    built: Built
    device: torch.device
    half: torch.dtype | None

    def __call__(self, size: int) -> int:
        """Return the bytes at the peak of a step beyond those before it."""
        module, samples = self.built.module, self.built.data.found("train").samples
        batch = collate([read_item(one) for one in samples[:size]]).to(self.device)
        stage = module.stage
        with peak_memory(self.device) as peak:
            with torch.autocast(self.device.type, self.half, enabled=self.half is not None):
                loss = total(stage.loss(stage.forward(module.sam.train(), batch), batch))
            loss.backward()
        module.sam.zero_grad(set_to_none=True)
        return peak.taken


def climb(probe: Callable[[int], int], budget: int, most: int) -> dict[int, int]:
    """Measure batches of 1, 2, 4, ... images while the next one is sure to fit.

    Args:
        probe: returns the bytes that a batch of n images takes.
        budget: bytes that may be taken.
        most: images of the largest batch.

    Returns:
        dict: bytes by images.
    """
    found: dict[int, int] = {}
    size = 1
    while size <= most and (not found or expected(found, size) <= budget):
        try:
            found[size] = probe(size)
        except torch.OutOfMemoryError:
            break
        size *= 2
    return found


def expected(found: dict[int, int], size: int) -> int:
    """Return the bytes that a batch will take, on a line through the two largest measured.

    One measured batch says nothing of what is there without images: each image counts in full.
    """
    *before, last = found
    if not before:
        return size * found[last]
    slope = max(0, found[last] - found[before[-1]]) / (last - before[-1])
    return int(found[last] + slope * (size - last))


def largest_batch(found: dict[int, int], budget: int, most: int) -> int:
    """Return the largest batch that fits, 1 at least; see `climb`."""
    sizes = range(max(found, default=1), most + 1)
    fitting = [n for n in sizes if found and expected(found, n) <= budget]
    return min(max(fitting, default=1), 2 * max(found, default=1))


def free(device: torch.device) -> int:
    """Return the bytes of a device that a batch may take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * SHARE)
    return int(psutil.virtual_memory().available * SHARE)


@dataclass
class Peak:
    """Most memory that was seen."""

    start: int = 0
    most: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def taken(self) -> int:
        """Bytes at the peak beyond those at the start."""
        return max(0, self.most - self.start)


@contextlib.contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Watch the memory of a device, or of this process on a CPU, while something runs."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        peak = Peak(start=torch.cuda.memory_allocated(device))
        yield peak
        peak.most = torch.cuda.max_memory_allocated(device)
        return
    process = psutil.Process()
    peak = Peak(start=process.memory_info().rss)

    def watch() -> None:
        while not peak.ended.wait(_TICK):
            peak.most = max(peak.most, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        peak.ended.set()
        watcher.join()
        peak.most = max(peak.most, process.memory_info().rss)
