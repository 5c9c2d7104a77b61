"""A network in the plain sense: images in, a logit for each class and pixel out."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.acceleration import Precision, accelerate
from samdomain.adapter_file import AdapterCard, load_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.errors import InputError
from samdomain.recipes import THING, Legend, Recipe, read_recipe
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike, encode


class Segmenter(nn.Module):
    """Answer images, with prompts or without, as other networks for semantic segmentation do.

    It trains and exports as any module: gradients pass through, and the model is a submodule.

    Args:
        sam: model that was adapted by the recipe, or an accelerated snapshot of it.
        recipe: how it is asked.
        temperature: what logits are divided by, so that probabilities mean what they say; see
            `samdomain.recipes.Calibration`.
        value_range: lowest and highest value of a pixel, where the model scales by them: one
            for all images, instead of each image's own. See `samdomain.encode`.

    Attributes:
        legend: what the channels mean: a thing, where the recipe answers prompts alone.
    """

    def __init__(
        self,
        sam: SamLike,
        recipe: Recipe,
        temperature: float = 1.0,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.sam = sam
        self.recipe = recipe
        self.temperature = temperature
        self.value_range = value_range
        self.legend: Legend = recipe.legend or THING

    def forward(
        self, images: Float[Tensor, "b c h w"], prompts: Prompts | None = None
    ) -> Float[Tensor, "n k h w"]:
        """Return the logit of each class in pixels of the images.

        Args:
            images: pixels in the values that the model's spec asks for: 0 to 255 for published
                weights.
            prompts: what to look for, a mask each; by default what the recipe was made for.

        Raises:
            PromptError: the recipe needs prompts, and none were given.
        """
        return self.answer(images, prompts).logits / self.temperature

    def answer(
        self, images: Float[Tensor, "b c h w"], prompts: Prompts | None = None
    ) -> Prediction:
        """Return what the recipe finds, in the decoder's resolution and the images'."""
        return self.recipe.answer(self.sam, self.encode(images), prompts)

    def pixels(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b _ h w"]:
        """Return images in the values and channels that the model's spec asks for: as they are."""
        return images

    def encode(self, images: Float[Tensor, "b c h w"]) -> Embedding:
        """Encode images in the values that the model knows."""
        return encode(self.sam, images, self.value_range)

    @torch.no_grad()
    def probabilities(
        self, images: Float[Tensor, "b c h w"], prompts: Prompts | None = None
    ) -> Float[Tensor, "n k h w"]:
        """Return the probability of each class, 0 to 1, without gradients."""
        return self.legend.probabilities(self(images, prompts))

    def accelerated(self, precision: Precision = "f32") -> "Segmenter":
        """Return a copy that infers fast and trains no more; see `samdomain.accelerate`.

        Raises:
            InputError: its model is no `Sam`, as of a copy that is fast already.
        """
        if not isinstance(self.sam, Sam):
            raise InputError(f"a {type(self.sam).__name__} cannot be accelerated: give a Sam")
        fast = accelerate(self.sam, precision)
        return Segmenter(fast, self.recipe, self.temperature, self.value_range).eval()


def load_segmenter(adapter: str | Path, base: Sam | None = None) -> tuple[Segmenter, AdapterCard]:
    """Load an adapter that finds without prompts, ready to be asked.

    Args:
        adapter: folder of the adapter, or name of a shipped one.
        base: model to put it onto; by default the one that it names.

    Returns:
        The segmenter in eval mode, with its temperature, and what the adapter says of itself.

    Raises:
        InputError: the adapter needs prompts, or names no recipe that is installed.
        WeightsError: its base is not on this machine.
    """
    loaded = load_adapter(find_adapter(adapter), base)
    if loaded.adapter is None or not loaded.adapter.card.recipe:
        raise InputError(f"{adapter} names no recipe: how it is asked is not known")
    card = loaded.adapter.card
    if card.output == "change":
        raise InputError(f"{adapter} compares two dates: samdomain change takes it")
    recipe = read_recipe(card.recipe, card.options)
    if recipe.legend is None:
        raise InputError(
            f"{adapter} is of recipe {recipe.name!r}, which answers prompts alone: take an adapter "
            "that finds without them, as sam_sp, samlp and samed train"
        )
    low_high = (card.value_range[0], card.value_range[1]) if card.value_range else None
    return Segmenter(loaded.sam, recipe, card.temperature, low_high).eval(), card
