"""A SAM in the words of MONAI's networks."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from monai.data.meta_tensor import MetaTensor
from torch import Tensor

from samdomain.acceleration import FastSteps
from samdomain.adapter_file import AdapterCard, load_adapter, read_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.cache import cache_features, features_folder
from samdomain.errors import InputError
from samdomain.recipes import Recipe, SAMed, read_recipe
from samdomain.sam import Embedding, Prompts, Sam, SamLike, encode
from samdomain.task_network import TaskNetwork
from samdomain.training.choice import RecipeChoice
from samdomain.weights import build_sam, load_sam
from samdomain_med.meta_tensors import with_meta

_PLANAR = 2
_RGB = 3


class SamSegmenter(TaskNetwork):
    """Segment planes with an adapted SAM: images (B, C, H, W) in, logits (B, K, H, W) out.

    It is built of plain values, so that a bundle can name it, and its state dict holds the base
    and what was trained beside it. All that the recipe names trains, the rest is frozen. Without
    prompts it answers as its recipe does; given `samdomain.Prompts`, a mask a prompt. What
    MetaTensors know of images stays with the answers, where these are one an image.

    Any loss of MONAI's suits the logits; `samdomain_med.RecipeLoss` is the recipe's own.

    Args:
        spatial_dims: 2; `segment_slices` and `propagate` take it through volumes.
        in_channels: 3, or 1, which is repeated; more with the recipe `samed`, which mixes them.
        out_channels: logits of a pixel: 1 with `sam_sp`, `samlp` and `sam`; with `samed` one a
            class, background first.
        weights: base, as `samdomain.load_sam` knows it.
        pretrained: load the base; otherwise its values are random, for `load_state_dict`.
        recipe: how it is adapted and asked: sam_sp, samed, samlp or sam.
        preset: preset of the recipe.
        options: fields of the recipe that differ from the preset's, as the names of `classes`.
        adapter: folder or name of an adapter to start from; its own recipe is used.
        input_size: side of the encoder's input in pixels; that of the weights by default.
        value_range: black and white of the images; MONAI's are scaled to 0 and 1 as a rule.
        temperature: what logits are divided by after training, so that probabilities mean what
            they say; an adapter's own counts where one is given.
        cache: keep on disk what the frozen beginning of the encoder makes of each image, for
            training on images that come again as they are; see `samdomain.cache`.

    Raises:
        InputError: the words contradict one another.
        WeightsError: the base is not on this machine.
    """

    def __init__(  # noqa: PLR0913 - MONAI builds networks of plain values
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        out_channels: int = 1,
        *,
        weights: str = "litemedsam",
        pretrained: bool = True,
        recipe: str = "sam_sp",
        preset: str = "recommended",
        options: Mapping[str, Any] | None = None,
        adapter: str | None = None,
        input_size: int | None = None,
        value_range: Sequence[float | int] = (0.0, 1.0),
        temperature: float = 1.0,
        cache: bool = False,
    ) -> None:
        if spatial_dims != _PLANAR:
            raise InputError(
                f"spatial_dims is {spatial_dims}, but SAM sees planes: give 2; "
                "samdomain_med.slices takes it through volumes"
            )
        load = load_sam if pretrained else build_sam
        sam, card = load(weights, input_size=input_size), AdapterCard(temperature=temperature)
        if adapter is not None:
            folder = find_adapter(adapter)
            sam, card = load_adapter(folder, sam).sam, read_adapter(folder).card
            built = read_recipe(card.recipe, card.options)
        else:
            built = _recipe(recipe, preset, options or {}, in_channels, out_channels)
        for stage in built.stages:
            stage.adapt(sam)
        super().__init__(sam, built, value_range, _range(card))
        self.temperature = card.temperature
        self.in_channels = in_channels
        self._check_channels(sam, out_channels)
        seen = cache_features(sam, features_folder(), prepare=FastSteps) if cache else sam
        self._seen: tuple[SamLike] = (seen,)  # in a tuple: it would be a second submodule else

    def forward(
        self, images: Float[Tensor, "b c h w"], prompts: Prompts | None = None
    ) -> Float[Tensor, "n k h w"]:
        """Return the logit of each class in pixels of the images; see `TaskNetwork`."""
        # A MetaTensor's own bookkeeping at each operation takes as long as a small network.
        plain = images.as_tensor() if isinstance(images, MetaTensor) else images
        logits = super().forward(plain, prompts)
        if not self.training:
            logits = logits / self.temperature
        return with_meta(logits, images) if prompts is None else logits

    def encode(self, images: Float[Tensor, "b c h w"]) -> Embedding:
        """Encode images in the values that the model knows, or look them up."""
        return encode(self._seen[0], images, self.value_range)

    def pixels(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b _ h w"]:
        """Return images in the values that weights know; a single channel is repeated."""
        known = super().pixels(images)
        return known.expand(-1, _RGB, -1, -1) if self.in_channels == 1 else known

    def _check_channels(self, sam: Sam, out_channels: int) -> None:
        taken = sam.spec.input_channels
        if self.in_channels not in {taken, 1}:
            raise InputError(
                f"in_channels is {self.in_channels}, but the model takes {taken}: give {taken}, or "
                "1, which is repeated; the recipe samed mixes more"
            )
        if out_channels != len(self.legend):
            raise InputError(
                f"out_channels is {out_channels}, but the recipe {self.recipe.name!r} answers with "
                f"{len(self.legend)}: {', '.join(self.legend.names)}"
            )


def _recipe(
    name: str, which: str, options: Mapping[str, Any], in_channels: int, out_channels: int
) -> Recipe:
    """Return the recipe, with as many classes and bands as the network shall have."""
    words: dict[str, Any] = {}
    if name == SAMed.name:
        others = tuple(f"class {i}" for i in range(1, out_channels))
        words = {"classes": ("background", *others), "bands": max(in_channels, _RGB)}
    return RecipeChoice(name, which, {**words, **options}).build()


def _range(card: AdapterCard) -> tuple[float, float] | None:
    return (card.value_range[0], card.value_range[1]) if card.value_range else None
