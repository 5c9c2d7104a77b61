"""Stand-in until the branch with the recipe is merged."""

from pathlib import Path

from torch import Tensor, nn

from samdomain.acceleration import Precision, accelerate
from samdomain.adapter_file import AdapterCard, load_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.sam import Sam, SamLike


class ChangeSegmenter(nn.Module):
    """Call it a change where the dates differ in brightness."""

    def __init__(self, sam: SamLike) -> None:
        super().__init__()
        self.sam = sam

    def probability(self, before: Tensor, after: Tensor) -> Tensor:
        """Return the difference of brightness, 0 to 1."""
        return ((before - after).abs().mean(dim=1, keepdim=True) / 128).clamp(0, 1)

    def accelerated(self, precision: Precision = "f32") -> "ChangeSegmenter":
        """Return a fast copy."""
        assert isinstance(self.sam, Sam)
        return ChangeSegmenter(accelerate(self.sam, precision))


def load_change(
    adapter: str | Path, base: Sam | None = None
) -> tuple[ChangeSegmenter, AdapterCard]:
    """Load an adapter."""
    loaded = load_adapter(find_adapter(adapter), base)
    return ChangeSegmenter(loaded.sam), loaded.adapter.card if loaded.adapter else AdapterCard()
