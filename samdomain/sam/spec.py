"""Describe what a SAM's weights expect of an image and of a prompt."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from samdomain.errors import InputError
from samdomain.json_values import check_values

PromptKind = Literal["box", "mask", "point"]
Scaling = Literal["none", "minmax"]
Padding = Literal["end", "both"]

PROMPT_KINDS: frozenset[PromptKind] = frozenset(get_args(PromptKind))


@dataclass(frozen=True)
class SamSpec:
    """State how pixels reach the encoder, and which prompts the decoder was trained with.

    An image is resized so that its longer side is `input_size`, scaled, standardised with
    `pixel_mean` and `pixel_std`, and padded with zeros to a square. Published SAM weights
    differ in every one of these steps, and a wrong one fails silently; so the spec travels
    with the weights and with every adapter.

    Attributes:
        name: name of the weights, as `load_sam` knows it.
        input_size: side of the encoder's square input in pixels.
        embedding_stride: input pixels for each cell of the image embedding.
        mask_size: side of the decoder's low-resolution logits in pixels.
        input_channels: channels of an input image.
        scaling: "none" takes pixel values as they are (0 to 255 for published weights);
            "minmax" first maps the value range of each image to 0..1.
        pixel_mean: mean of each channel, subtracted after scaling.
        pixel_std: standard deviation of each channel, divided by after scaling.
        padding: "end" pads at the bottom and the right, "both" on all sides equally.
        prompts: kinds of prompt that the weights were trained with.
        range_channels: channels that "minmax" scales by their joint range; each of the others is
            scaled by its own. Empty: all by one range.
        alternatives: whether a lone click is best answered by one of the decoder's three
            alternatives, since it may mean a part, an object or all of them. Weights that were
            taught what a click means in their field answer it by their one mask.
    """

    name: str
    input_size: int
    embedding_stride: int
    mask_size: int
    input_channels: int = 3
    scaling: Scaling = "none"
    pixel_mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    pixel_std: tuple[float, ...] = (58.395, 57.12, 57.375)
    padding: Padding = "end"
    prompts: frozenset[PromptKind] = PROMPT_KINDS
    range_channels: tuple[int, ...] = ()
    alternatives: bool = True

    def __post_init__(self) -> None:
        """Refuse a spec that contradicts itself."""
        statistics = {len(self.pixel_mean), len(self.pixel_std)}
        if statistics != {self.input_channels}:
            raise InputError(
                f"SamSpec {self.name!r} has {self.input_channels} input channels, but "
                f"{len(self.pixel_mean)} means and {len(self.pixel_std)} deviations: "
                "give one of each for every channel"
            )
        for field, allowed in (("scaling", get_args(Scaling)), ("padding", get_args(Padding))):
            if getattr(self, field) not in allowed:
                raise InputError(
                    f"SamSpec {self.name!r}: {field} is {getattr(self, field)!r}, "
                    f"allowed are {', '.join(allowed)}"
                )
        if not set(self.range_channels) <= set(range(self.input_channels)):
            raise InputError(
                f"SamSpec {self.name!r}: range_channels are {self.range_channels}, allowed are "
                f"0 to {self.input_channels - 1}"
            )
        if unknown := self.prompts - PROMPT_KINDS:
            raise InputError(
                f"SamSpec {self.name!r}: prompt kinds {sorted(unknown)} are unknown, "
                f"allowed are {sorted(PROMPT_KINDS)}"
            )

    @property
    def embedding_size(self) -> int:
        """Side of the image embedding in cells."""
        return self.input_size // self.embedding_stride

    def at(self, input_size: int) -> "SamSpec":
        """Return the spec of the same weights run at another input size.

        The embedding and the decoder's logits grow and shrink with the input.

        Args:
            input_size: side of the encoder's square input in pixels.

        Raises:
            InputError: the size is not a positive multiple of the embedding's stride.
        """
        if input_size < 1 or input_size % self.embedding_stride:
            raise InputError(
                f"input size {input_size} does not suit {self.name!r}: give a positive multiple "
                f"of {self.embedding_stride} pixels, the published size is {self.input_size}"
            )
        mask_size = self.mask_size * input_size // self.input_size
        return replace(self, input_size=input_size, mask_size=mask_size)

    def to_json(self) -> dict[str, Any]:
        """Return the spec as values that JSON can hold."""
        return asdict(self) | {"prompts": sorted(self.prompts)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SamSpec":
        """Read a spec back from `to_json`.

        Raises:
            InputError: a field is missing, unknown, of another type or contradicts another.
        """
        check_values(cls, values)
        known = {field.name for field in fields(cls)}
        required = {"name", "input_size", "embedding_stride", "mask_size"}
        if wrong := (values.keys() - known) | (required - values.keys()):
            raise InputError(
                f"a SamSpec has unknown or missing fields {sorted(wrong)}: "
                f"allowed are {sorted(known)}"
            )
        # JSON has neither tuples nor sets.
        read: dict[str, Any] = dict(values)
        for name in ("pixel_mean", "pixel_std", "range_channels"):
            if name in read:
                read[name] = tuple(read[name])
        read["prompts"] = frozenset(read.get("prompts", PROMPT_KINDS))
        return cls(**read)
