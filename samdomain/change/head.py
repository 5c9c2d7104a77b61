"""The head of change as an injection, and how a model with it is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.backbones.decoder import EMBEDDING_CHANNELS, MaskDecoder
from samdomain.change.network import (
    NORMS,
    ChangeBranch,
    ChangeNetwork,
    DateDecoder,
    Joining,
    Latents,
    NormName,
)
from samdomain.change.prediction import ChangePrediction
from samdomain.classes.head import plain_decoder
from samdomain.errors import InjectionError, InputError, MergeError
from samdomain.injection import InjectedModule, Injection
from samdomain.latent import LatentBranch
from samdomain.modules import grown
from samdomain.sam import Embedding, Sam, SamLike, pyramid
from samdomain.sam.stepwise import StepwiseEncoder

_COARSEST_START = 4
"""Stride of the finest map that the head reads where the encoder's own are coarser."""

_FEWEST_SCALES = 2


class ChangeDecoder(InjectedModule, MaskDecoder):
    """A mask decoder that compares two dates too: prompts are answered as before.

    Attributes:
        change: the network that compares.
        level_strides: strides of the encoder's own maps that it reads beside the embedding.
    """

    change: ChangeNetwork
    level_strides: tuple[int, ...]

    def merged(self) -> nn.Module:
        """Refuse: a plain decoder has no place for a second date."""
        raise MergeError("its head of change has no place in a plain decoder")


def detect_change(sam: SamLike, embedding: Embedding) -> ChangePrediction:
    """Compare the two dates of B pairs, one answer a pair.

    Gradients flow to the embedding and into the head; wrap the call in `torch.no_grad()` for
    inference.

    Args:
        sam: model with a `ChangeHead`.
        embedding: 2 B images as `encode` returned them, the dates of a pair beside one another,
            the earlier one first.

    Returns:
        ChangePrediction: logits (B, 1, S, S) at the resolution of the encoder's input, NaN for
        the estimate of IoU, which the head does not give, and the latents.

    Raises:
        InputError: the model has no head of change, or an image has no second date.
    """
    decoder = sam.mask_decoder
    if not isinstance(decoder, ChangeDecoder):
        raise InputError(
            f"{sam.spec.name!r} compares no dates: load an adapter that was trained for change, "
            "or put in ChangeHead(...)"
        )
    if len(embedding) % 2:
        raise InputError(
            f"{len(embedding)} images are no pairs: give two dates of each place, one after the "
            "other"
        )
    network = decoder.change
    logits, raw = network(_maps(embedding, network.strides))
    side = embedding.frame.input_size
    logits = F.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
    pairs = len(embedding) // 2
    return ChangePrediction(
        low_res=logits,
        iou=logits.new_full((pairs, 1), torch.nan),
        images=torch.arange(pairs),
        frame=embedding.frame.select(list(range(0, len(embedding), 2))),
        latents=None if raw is None else raw.unflatten(0, (pairs, 2)),
    )


@dataclass(frozen=True)
class ChangeHead(Injection):
    """Give a SAM a head that compares two dates: SAM-CD's adaptor, fusion and branches.

    It reads the embedding and the encoder's own maps, brought to strides that double, and
    answers pairs; answers to prompts stay as they are. It cannot be merged.

    Attributes:
        strides: strides of the maps in input pixels, each twice the one before; empty for one a
            width from the encoder's finest own map on, or from 4 where that is coarser. A map at
            the embedding's stride is the embedding; what the encoder lacks is resampled.
        widths: channels of each adapted map, the finest first.
        width: channels of the finest fused map.
        hidden: channels of the residual blocks.
        blocks: residual blocks.
        every: both branches read all fused maps, as the paper draws it, or else the finest, as
            the official code does.
        latents: latent classes of a date; 0 for a head without them.
        temperature: see `LatentBranch`.
        normalised: see `Latents`.
        norm: "batch" as published, or "group", which is the same in training and afterwards, in
            any batch.
        joining: "ordered" as published, or "unordered": the answer is the same whichever date
            comes first.
        prior: see `ChangeBranch`.

    Source: Ding et al., Adapting Segment Anything Model for Change Detection in VHR Remote
    Sensing Images (2024), section III.
    """

    kind: ClassVar[str] = "change_head"
    strides: tuple[int, ...] = (4, 8, 16)
    widths: tuple[int, ...] = (32, 64, 64)
    width: int = 32
    hidden: int = 32
    blocks: int = 4
    every: bool = False
    latents: int = 8
    temperature: float = 3.0
    normalised: bool = True
    norm: NormName = "group"
    joining: Joining = "unordered"
    prior: float = 0.05

    def __post_init__(self) -> None:
        """Refuse strides and widths that do not fit together."""
        if len(self.widths) < _FEWEST_SCALES or min(*self.widths, self.width, self.hidden) < 1:
            raise InjectionError(
                f"widths are {self.widths}, width {self.width} and hidden {self.hidden}: give "
                "widths of two maps at least, all above 0"
            )
        if self.strides and len(self.strides) != len(self.widths):
            raise InjectionError(
                f"{len(self.strides)} strides are given for {len(self.widths)} widths: give as many"
            )
        if any(
            2 * one != other for one, other in zip(self.strides, self.strides[1:], strict=False)
        ):
            raise InjectionError(f"strides are {self.strides}: each has to be twice the one before")
        if not 0 < self.prior < 1:
            raise InjectionError(f"prior is {self.prior}: give a probability between 0 and 1")
        if self.norm not in NORMS or self.joining not in {"ordered", "unordered"}:
            raise InjectionError(
                f"norm is {self.norm!r} and joining {self.joining!r}: allowed are "
                f"{', '.join(NORMS)}, and ordered, unordered"
            )

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make the mask decoder with the head beside it."""
        decoder, encoder = plain_decoder(sam, 1), sam.image_encoder
        if isinstance(decoder, InjectedModule):
            return {"mask_decoder": decoder}  # taken: `inject` refuses it by name
        if not isinstance(encoder, StepwiseEncoder):
            raise InjectionError(
                f"a {type(encoder).__name__} does not tell the channels of its maps: inherit "
                "from samdomain.sam.stepwise.StepwiseEncoder"
            )
        own = {**encoder.level_channels, sam.spec.embedding_stride: EMBEDDING_CHANNELS}
        strides = self.strides or self._strides(min(own))
        if sam.spec.input_size % strides[-1]:
            raise InjectionError(
                f"the input of {sam.spec.name!r} is {sam.spec.input_size} pixels a side, which "
                f"{strides[-1]} does not divide: give other strides or another input size"
            )
        sources = {stride: _source(own, stride) for stride in strides}
        new = grown(decoder, ChangeDecoder)
        new.level_strides = tuple(sorted({*sources.values()} - {sam.spec.embedding_stride}))
        made = self._network({stride: own[source] for stride, source in sources.items()})
        new.change = made.to(decoder.mask_tokens.weight)
        return {"mask_decoder": new}

    def _strides(self, finest: int) -> tuple[int, ...]:
        start = min(finest, _COARSEST_START)
        return tuple(start * 2**place for place in range(len(self.widths)))

    def _network(self, channels: Mapping[int, int]) -> ChangeNetwork:
        norm = NORMS[self.norm]
        decoder = DateDecoder(channels, self.widths, self.width, norm)
        finest = min(decoder.channels)
        read = dict(decoder.channels) if self.every else {finest: decoder.channels[finest]}
        latents = None
        if self.latents:
            branch = LatentBranch(read, self.latents, self.temperature)
            latents = Latents(branch, norm, self.joining, normalised=self.normalised)
        inside = 2 * sum(read.values())
        change = ChangeBranch(inside, self.hidden, self.blocks, norm, self.prior)
        return ChangeNetwork(decoder, latents, change, tuple(read), self.joining)


def _source(own: Mapping[int, int], stride: int) -> int:
    """Return the stride of the map that `pyramid` makes the one at a stride of."""
    return max((one for one in own if one <= stride), default=min(own))


def _maps(embedding: Embedding, strides: tuple[int, ...]) -> dict[int, Float[Tensor, "n _ _ _"]]:
    stride = embedding.frame.input_size // embedding.main.shape[-1]
    levels = {**embedding.levels, stride: embedding.main}
    return pyramid(Embedding(embedding.main, levels, embedding.frame), strides)
