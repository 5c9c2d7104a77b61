"""An adapter of change as a network: two dates in, the probability of a change out."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.acceleration import Precision, accelerate
from samdomain.adapter_file import AdapterCard, load_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.errors import InputError
from samdomain.recipes import read_recipe
from samdomain.sam import Embedding, Sam, SamLike, encode
from samdomain_geo.recipes import SamCD
from samdomain_geo.scenes.stretch import DISPLAY_RANGE

CHANGE_OUTPUT = "change"
"""What the card of an adapter of change says that it gives."""


class ChangeSegmenter(nn.Module):
    """Tell what changed between two images of a place, each encoded once.

    Args:
        sam: model that was adapted by the recipe, or an accelerated snapshot of it.
        recipe: how it is asked.
        temperature: what logits are divided by; see `samdomain.recipes.Calibration`.
        value_range: lowest and highest value of a pixel, where the model scales by them.
    """

    def __init__(
        self,
        sam: SamLike,
        recipe: SamCD,
        temperature: float = 1.0,
        value_range: tuple[float, float] | None = DISPLAY_RANGE,
    ) -> None:
        super().__init__()
        self.sam = sam
        self.recipe = recipe
        self.temperature = temperature
        self.value_range = value_range

    def forward(
        self, before: Float[Tensor, "b c h w"], after: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b 1 h w"]:
        """Return the logit of a change in pixels of the images.

        Args:
            before: images of the first date, of any size, in the values that the model's spec
                asks for: 0 to 255 for published weights.
            after: images of the second date, in the same size and on the same grid.

        Raises:
            InputError: the dates differ in size or number.
        """
        prediction = self.recipe.answer(self.sam, self.encode(before, after))
        return prediction.logits / self.temperature

    def encode(
        self, before: Float[Tensor, "b c h w"], after: Float[Tensor, "b c h w"]
    ) -> Embedding:
        """Encode both dates, those of a place beside one another.

        Raises:
            InputError: the dates differ in size or number.
        """
        if before.shape != after.shape:
            raise InputError(
                f"the dates are {tuple(before.shape)} and {tuple(after.shape)}: give both on one "
                "grid"
            )
        dates = torch.stack([before, after], dim=1).flatten(0, 1)
        return encode(self.sam, dates, self.value_range)

    @torch.no_grad()
    def probability(
        self, before: Float[Tensor, "b c h w"], after: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b 1 h w"]:
        """Return the probability of a change, 0 to 1, without gradients; see `forward`."""
        return self(before, after).sigmoid()

    def accelerated(self, precision: Precision = "f32") -> "ChangeSegmenter":
        """Return a copy that infers fast and trains no more; see `samdomain.accelerate`.

        Raises:
            InputError: its model is no `Sam`, as of a copy that is fast already.
        """
        if not isinstance(self.sam, Sam):
            raise InputError(f"a {type(self.sam).__name__} cannot be accelerated: give a Sam")
        fast = accelerate(self.sam, precision)
        return ChangeSegmenter(fast, self.recipe, self.temperature, self.value_range).eval()


def load_change(
    adapter: str | Path, base: Sam | None = None
) -> tuple[ChangeSegmenter, AdapterCard]:
    """Load an adapter that compares two dates, ready to be asked.

    Args:
        adapter: folder of the adapter, or name of a shipped one.
        base: model to put it onto; by default the one that it names.

    Returns:
        The segmenter in eval mode, with its temperature, and what the adapter says of itself.

    Raises:
        InputError: the adapter gives something else than change.
        WeightsError: its base is not on this machine.
    """
    loaded = load_adapter(find_adapter(adapter), base)
    card = loaded.adapter.card if loaded.adapter else AdapterCard()
    if card.output != CHANGE_OUTPUT:
        raise InputError(
            f"{adapter} gives {card.output!r}, and compares no dates: take an adapter whose output "
            "is 'change', as sam_cd trains"
        )
    recipe = read_recipe(card.recipe, card.options)
    if not isinstance(recipe, SamCD):
        raise InputError(f"{adapter} is of recipe {card.recipe!r}, which is not asked for change")
    values = (card.value_range[0], card.value_range[1]) if card.value_range else None
    return ChangeSegmenter(loaded.sam, recipe, card.temperature, values).eval(), card
