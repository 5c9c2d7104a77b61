"""Compare two dates at first sight, by the features of a SAM that was trained for neither.

A dense relative of AnyChange (Zheng et al. 2024, arXiv 2402.01188), which compares the mean
features of SAM's masks of both dates by their angle. Here each cell of the encoder's map is
compared, so that no prompt is decoded.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from rasterio.windows import Window
from torch import Tensor
from torch.nn import functional as F

from samdomain import accelerate, encode, load_sam
from samdomain.acceleration import Precision
from samdomain.sam import SamLike
from samdomain_geo.changes.work import StretchedPair
from samdomain_geo.classes.class_network import filled_up
from samdomain_geo.classes.lazy_network import LazyNetwork
from samdomain_geo.data.scene_chip import FILL
from samdomain_geo.scenes.chips import Chips
from samdomain_geo.scenes.stretch import DISPLAY_RANGE

_LOOKS = 12  # chips that are looked at before the run
_BINS = 256

_STRIDE = 4  # pixels of the weights' input for each cell, where their maps are finer
_DEVIATIONS = 2.0
_NORMAL = 1.4826  # median absolute deviations in a normal distribution's standard deviation


@dataclass(frozen=True)
class Matching:
    """What was measured in a scene before its dates are compared.

    Attributes:
        drift: by what the unit features of the later date differ from the earlier one's in the
            mean: season, sun and sensor move all features alike.
        threshold: distance, 0 to 2, from which on a cell changed.
        softness: distance over which a cell's value passes from a quarter to three, about.
        looks: chips that were looked at.
    """

    drift: tuple[float, ...]
    threshold: float
    softness: float
    looks: int

    def told(self) -> dict[str, Any]:
        """Return what a reader of the record understands."""
        return {"threshold": self.threshold, "softness": self.softness, "looks": self.looks}

    @classmethod
    def read(cls, told: dict[str, Any]) -> Self:
        """Read it back from the values of its fields, as JSON holds them."""
        return cls(**told | {"drift": tuple(told["drift"])})

    def to_json(self) -> dict[str, Any]:
        """Return the values of its fields."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class LatentNetwork:
    """Give a value that is 0.5 at the threshold; it is no probability of anything.

    Attributes:
        sam: model whose encoder sees both dates.
        side: side of a chip in pixels.
        matching: what was measured in the scene.
    """

    sam: SamLike
    side: int
    matching: Matching

    def __call__(self, chips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values (B, 1, rows, columns), 0 to 1, of chips (B, 2 x bands, rows, columns)."""
        rows, columns = chips.shape[2:]
        before, after = features(self.sam, filled_up(chips, self.side))
        away = distances(before, after, torch.tensor(self.matching.drift))
        scaled = (away - self.matching.threshold) / self.matching.softness
        size = (self.side, self.side)
        found = F.interpolate(scaled, size, mode="bilinear", align_corners=False).sigmoid()
        return found[..., :rows, :columns].numpy()

    @property
    def engine(self) -> str:
        """What runs the model, in words."""
        return getattr(self.sam, "engine", "")


@dataclass(frozen=True)
class LatentSource(LazyNetwork[LatentNetwork]):
    """Load weights as a network that compares at first sight.

    Attributes:
        weights: name of the weights or path of a checkpoint.
        precision: see `samdomain.accelerate`.
        side: side of a chip in pixels.
        matching: what was measured in the scene.
    """

    weights: str
    precision: Precision
    side: int
    matching: Matching

    def load(self) -> LatentNetwork:
        """Load the network."""
        sam = accelerate(load_sam(self.weights), self.precision)
        return LatentNetwork(sam, self.side, self.matching)


@torch.no_grad()
def features(
    sam: SamLike, chips: Float[Tensor, "b c s s"]
) -> tuple[Float[Tensor, "b d h w"], Float[Tensor, "b d h w"]]:
    """Return the encoder's finest map of both dates, each cell of length 1.

    Args:
        sam: model whose encoder is asked.
        chips: two dates, the later one's bands behind the earlier one's.
    """
    embedding = encode(sam, torch.cat(chips.chunk(2, dim=1)), DISPLAY_RANGE)
    # The finest map tells most: on building changes of GF-1 its average precision is 0.12 where
    # that of the last map is 0.07, and chance 0.02.
    finest = min(embedding.levels)
    found = embedding.levels[finest]
    if finest < _STRIDE:
        found = F.avg_pool2d(found, _STRIDE // finest)
    before, after = F.normalize(found.float(), dim=1).chunk(2)
    return before, after


def distances(
    before: Float[Tensor, "b d h w"],
    after: Float[Tensor, "b d h w"],
    drift: Float[Tensor, " d"],
) -> Float[Tensor, "b 1 h w"]:
    """Return the cosine distance of the cells of two dates, 0 to 2.

    Each cell is compared with the most similar one of nine, so that a shift of some pixels makes
    no change, in both directions; the larger distance counts.

    Args:
        before: unit features of the earlier date.
        after: those of the later one.
        drift: what all cells have moved by, which is taken back.
    """
    plain = F.normalize(after - drift[:, None, None], dim=1)
    return torch.maximum(_nearest(before, plain), _nearest(plain, before))


def _nearest(one: Tensor, other: Tensor) -> Tensor:
    rows, columns = one.shape[-2:]
    around = F.pad(other, (1, 1, 1, 1), mode="replicate")
    alike = [
        (one * around[..., down : down + rows, right : right + columns]).sum(dim=1, keepdim=True)
        for down in range(3)
        for right in range(3)
    ]
    return 1 - torch.stack(alike).amax(dim=0)


def measure_matching(pixels: StretchedPair, sam: SamLike, chips: Chips) -> Matching:
    """Look at some chips from all over the overlap, and choose one threshold for the scene.

    Args:
        pixels: both dates.
        sam: model whose encoder is asked.
        chips: the grid of chips.
    """
    maps: list[tuple[Tensor, Tensor, Tensor]] = []
    for window in _spread(list(chips.over(pixels.pair.overlap, pixels.rows, pixels.columns))):
        values, valid = pixels.read(window)
        if valid.any():
            seen = filled_up(np.where(valid, values, np.float32(FILL))[None], chips.size)
            before, after = features(sam, seen)
            maps.append((before, after, _cells(valid, chips.size, before.shape[-1])))
        if len(maps) == _LOOKS:
            break
    moved = [(other - one)[0][:, known] for one, other, known in maps]
    drift = torch.cat(moved, dim=1).mean(dim=1)
    away = [distances(one, other, drift)[0, 0][known] for one, other, known in maps]
    threshold, softness = robust_threshold(torch.cat(away).numpy())
    return Matching(tuple(drift.tolist()), threshold, softness, len(maps))


def robust_threshold(values: NDArray[np.floating]) -> tuple[float, float]:
    """Part the few large values from the bulk.

    Where changes are rare, Otsu's threshold (1979) cuts into the bulk, within two robust
    standard deviations of the median; it is then taken anew of what is above it. Where there is
    no change at all the two deviations remain.

    Args:
        values: (N,) distances.

    Returns:
        tuple: threshold, and one robust standard deviation.
    """
    middle = float(np.median(values))
    deviation = max(_NORMAL * float(np.median(np.abs(values - middle))), 1e-6)
    least = middle + _DEVIATIONS * deviation
    threshold = _otsu(values)
    if threshold < least:
        threshold = max(least, _otsu(values[values >= threshold]))
    return threshold, deviation


def _otsu(values: NDArray[np.floating]) -> float:
    counts, edges = np.histogram(values, bins=_BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(edges[1:][np.nanargmax(np.where(above > 0, apart, -1.0))])


def _spread(windows: list[Window]) -> Iterator[Window]:
    """Return windows in an order in which the first few lie all over."""
    count = len(windows)
    order = sorted(range(count), key=lambda place: (place * 0.618033988749895) % 1.0)
    return (windows[place] for place in order)


def _cells(valid: NDArray[np.bool_], side: int, cells: int) -> Bool[Tensor, "h w"]:
    """Return which cells of a map have data in all of their pixels, or any where none has."""
    filled = np.zeros((side, side), np.float32)
    filled[: valid.shape[0], : valid.shape[1]] = valid
    share = F.adaptive_avg_pool2d(torch.from_numpy(filled)[None], cells)[0]
    return share >= min(1.0, float(share.max()))
