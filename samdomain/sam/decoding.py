"""Turn embeddings and prompts into masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from samdomain.errors import PromptError
from samdomain.sam.embedding import Embedding
from samdomain.sam.frame import Frame
from samdomain.sam.model import SamLike
from samdomain.sam.prompts import Prompts
from samdomain.sam.spec import SamSpec


@dataclass(frozen=True, eq=False)
class Prediction:
    """Carry the masks of N prompts, M of each (one, or three alternatives).

    Masks are logits: an object is where they are above 0.

    Attributes:
        low_res: logits (N, M, S, S) over the encoder's padded input.
        iou: the decoder's own estimate of each mask's IoU (N, M); about 0 to 1.
        images: (N,) index of the image of each prompt.
        frame: where each image lies in the encoder's input.
    """

    low_res: Float[Tensor, "n m s s"]
    iou: Float[Tensor, "n m"]
    images: Int[Tensor, " n"]
    frame: Frame

    def __len__(self) -> int:
        """Return the number of prompts."""
        return self.low_res.shape[0]

    def __getitem__(self, prompts: int | slice | Int[Tensor, " k"]) -> "Prediction":
        """Return the masks of some of the prompts, still as a batch."""
        rows = torch.arange(len(self))[prompts].reshape(-1)
        chosen = rows.to(self.low_res.device)
        return Prediction(self.low_res[chosen], self.iou[chosen], self.images[rows], self.frame)

    @property
    def logits(self) -> Float[Tensor, "n m h w"]:
        """Logits (N, M, H, W) over the original image, computed when asked for.

        Raises:
            PromptError: the prompts' images differ in size, so that no one tensor holds them.
        """
        sizes = {self.frame.sizes[image] for image in self.images.tolist()}
        if len(sizes) > 1:
            raise PromptError(
                f"the images have {len(sizes)} different sizes: take the logits of one image's "
                "prompts at a time, as prediction[i].logits"
            )
        full = [
            self.frame.to_original(low_res, image)
            for low_res, image in zip(self.low_res, self.images.tolist(), strict=True)
        ]
        return torch.stack(full) if full else self.low_res


def decode(
    sam: SamLike, embedding: Embedding, prompts: Prompts, *, multimask: bool = False
) -> Prediction:
    """Decode B embeddings with any number of prompts each.

    Gradients flow to the embedding and into the decoder; wrap the call in
    `torch.no_grad()` for inference. The result equals a loop over single images.

    Args:
        sam: model to decode with.
        embedding: images as `encode` returned them.
        prompts: what to look for, in pixels of the original images.
        multimask: return three alternatives for ambiguous prompts instead of one mask.

    Returns:
        Prediction: one entry a prompt, in the order of the prompts.

    Raises:
        PromptError: a kind of prompt that the weights were not trained with, an image index
            outside the embedding, or a mask prompt of another size.
    """
    _check(sam.spec, embedding, prompts)
    images = prompts.image_indices()
    rows: list[Tensor] = []
    masks: list[Tensor] = []
    scores: list[Tensor] = []
    for chosen, group in prompts.groups():
        low_res, iou = _decode_group(sam, embedding, group, multimask=multimask)
        rows.append(chosen)
        masks.append(low_res)
        scores.append(iou)
    order = torch.cat(rows).argsort().to(embedding.main.device)
    return Prediction(torch.cat(masks)[order], torch.cat(scores)[order], images, embedding.frame)


def _decode_group(
    sam: SamLike, embedding: Embedding, prompts: Prompts, *, multimask: bool
) -> tuple[Tensor, Tensor]:
    main = embedding.main
    images = prompts.image_indices()

    def place(points: Tensor) -> Tensor:
        return embedding.frame.to_input(points.to(main.device, torch.float32), images)

    clicks = boxes = masks = None
    if isinstance(prompts.points, Tensor) and isinstance(prompts.labels, Tensor):
        clicks = (place(prompts.points), prompts.labels.to(main.device))
    if prompts.boxes is not None:
        boxes = place(prompts.boxes.reshape(-1, 2, 2)).reshape(-1, 4)
    if prompts.masks is not None:
        masks = prompts.masks.to(main)[:, None]
    sparse, dense = sam.prompt_encoder(points=clicks, boxes=boxes, masks=masks)
    if not prompts.kinds:
        # The null prompt tells the prompt encoder nothing, not even how many there are.
        sparse, dense = (part.expand(len(prompts), *part.shape[1:]) for part in (sparse, dense))
    return sam.mask_decoder(
        image_embeddings=main[images.to(main.device)],
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
    )


def _check(spec: SamSpec, embedding: Embedding, prompts: Prompts) -> None:
    if foreign := prompts.kinds - spec.prompts:
        raise PromptError(
            f"{spec.name!r} was not trained with {_listed(foreign)} prompts: "
            f"give {_listed(spec.prompts)} prompts, or load weights that understand them "
            "(mobile_sam, sam_vit_b)"
        )
    images = prompts.image_indices()
    if len(images) and not 0 <= int(images.min()) <= int(images.max()) < len(embedding):
        raise PromptError(
            f"prompts name images {int(images.min())} to {int(images.max())}, but the embedding "
            f"has {len(embedding)}: count images from 0"
        )
    size = (spec.mask_size, spec.mask_size)
    if prompts.masks is not None and tuple(prompts.masks.shape[1:]) != size:
        raise PromptError(
            f"mask prompts have shape {tuple(prompts.masks.shape)}: allowed is (N, *{size}) "
            "logits, as Prediction.low_res[:, 0]"
        )


def _listed(kinds: Sequence[str] | frozenset[str]) -> str:
    return " or ".join(sorted(kinds))
