"""Put a SAM together from its three parts and its spec."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from samdomain.sam.spec import SamSpec


@runtime_checkable
class ImageEncoder(Protocol):
    """Turn pixels into an image embedding and the maps that it came from."""

    def __call__(
        self, pixels: Float[Tensor, "b c s s"], /
    ) -> tuple[Float[Tensor, "b d h w"], Mapping[int, Float[Tensor, "b _ _ _"]]]:
        """Return the embedding and the encoder's own maps by stride in input pixels."""
        ...


@runtime_checkable
class PromptEncoder(Protocol):
    """Turn prompts in input pixels into sparse tokens (N, T, d) and a dense map (N, d, h, w)."""

    def __call__(
        self, *, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Float[Tensor, "n t d"], Float[Tensor, "n d h w"]]:
        """Embed prompts as `segment_anything.modeling.PromptEncoder` does."""
        ...

    def get_dense_pe(self) -> Float[Tensor, "1 d h w"]:
        """Return the positional encoding of the embedding's cells."""
        ...


@runtime_checkable
class MaskDecoder(Protocol):
    """Turn N embeddings with one prompt each into masks."""

    def __call__(
        self,
        *,
        image_embeddings: Float[Tensor, "n d h w"],
        image_pe: Float[Tensor, "1 d h w"],
        sparse_prompt_embeddings: Float[Tensor, "n t d"],
        dense_prompt_embeddings: Float[Tensor, "n d h w"],
        multimask_output: bool,
    ) -> tuple[Float[Tensor, "n m s s"], Float[Tensor, "n m"]]:
        """Return low-resolution logits and the predicted IoU of each."""
        ...


@runtime_checkable
class SamLike(Protocol):
    """What every function of samdomain asks of a model: three parts and a spec.

    A model of your own may inherit from it, which adds nothing but says so: from Python 3.12
    on, `isinstance` does not see the submodules of an nn.Module.

    Attributes:
        spec: what the weights expect.
        image_encoder: part that sees the pixels.
        prompt_encoder: part that sees the prompts.
        mask_decoder: part that joins both into masks.
    """

    spec: SamSpec
    image_encoder: ImageEncoder
    prompt_encoder: PromptEncoder
    mask_decoder: MaskDecoder


class Sam(nn.Module, SamLike):
    """Hold an image encoder, a prompt encoder and a mask decoder under SAM's own names.

    The parts are modules that keep the protocols above.

    The names of the parts are those of every published checkpoint, so that a plain state
    dict of SAM loads.

    Args:
        image_encoder: see `ImageEncoder`.
        prompt_encoder: see `PromptEncoder`.
        mask_decoder: see `MaskDecoder`.
        spec: what the weights expect.
        weights_sha256: digest of the file that the weights came from; empty for random ones.

    Source: Kirillov et al., Segment Anything (2023), section 3.
    """

    def __init__(
        self,
        image_encoder: ImageEncoder,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        spec: SamSpec,
        weights_sha256: str = "",
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.spec = spec
        self.weights_sha256 = weights_sha256

    def train(self, mode: bool = True) -> "Sam":  # noqa: FBT001, FBT002 - torch's own signature
        """Switch between training and evaluation, as `torch.nn.Module.train`.

        Batch normalisations whose parameters are frozen stay in evaluation: their running
        statistics would otherwise drift away from the weights that were trained with them. Those
        without parameters switch as everything else does.
        """
        super().train(mode)
        for module in self.modules():
            normalises = isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm)
            if normalises and module.affine and not module.weight.requires_grad:
                module.eval()
        return self


class SamView(SamLike):
    """Look at a model: it is asked in the model's place, and holds no parameters.

    Attributes:
        sam: the model, or another view of it.
    """

    sam: SamLike


def model_of(sam: SamLike) -> SamLike:
    """Return the model behind any number of views; a model is its own."""
    while isinstance(sam, SamView):
        sam = sam.sam
    return sam
