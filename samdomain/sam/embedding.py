"""Hold what the image encoder made of a batch of images."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from samdomain.errors import InputError
from samdomain.sam.frame import Frame


@dataclass(frozen=True, eq=False)
class Embedding:
    """Carry B encoded images, ready to be decoded any number of times.

    Attributes:
        main: image embedding (B, C, h, w) that the mask decoder reads; C is 256 for SAM.
        levels: the encoder's own feature maps (B, C_s, H / s, W / s) by their stride s in
            input pixels, finest first.
        frame: where each original image lies in the encoder's input.
    """

    main: Float[Tensor, "b c h w"]
    levels: Mapping[int, Float[Tensor, "b _ _ _"]]
    frame: Frame

    def __len__(self) -> int:
        """Return the number of images."""
        return self.main.shape[0]

    def __getitem__(self, images: int | slice | Int[Tensor, " n"]) -> "Embedding":
        """Return the embedding of some of the images, still as a batch."""
        indices = torch.arange(len(self))[images].reshape(-1)
        chosen = indices.to(self.main.device)
        return Embedding(
            self.main[chosen],
            {stride: level[chosen] for stride, level in self.levels.items()},
            self.frame.select(indices.tolist()),
        )

    def to(self, *args: Any, **kwargs: Any) -> "Embedding":
        """Move or cast every map, with the arguments of `torch.Tensor.to`."""
        return Embedding(
            self.main.to(*args, **kwargs),
            {stride: level.to(*args, **kwargs) for stride, level in self.levels.items()},
            self.frame,
        )

    def detach(self) -> "Embedding":
        """Return the embedding cut off from the encoder's graph."""
        levels = {stride: level.detach() for stride, level in self.levels.items()}
        return Embedding(self.main.detach(), levels, self.frame)

    def save(self, path: str | Path) -> None:
        """Write the embedding as one safetensors file."""
        tensors = {"main": self.main} | {f"level_{s}": level for s, level in self.levels.items()}
        frame = {
            "sizes": self.frame.sizes,
            "input_size": self.frame.input_size,
            "padding": self.frame.padding,
        }
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            str(path),
            metadata={"frame": json.dumps(frame)},
        )

    @classmethod
    def load(cls, path: str | Path) -> "Embedding":
        """Read an embedding back from `save`.

        Raises:
            InputError: the file is not an embedding that `save` wrote.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
                frame = json.loads(file.metadata()["frame"])
            main = tensors.pop("main")
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is not an embedding: give a file that Embedding.save wrote ({error})"
            ) from error
        levels = {int(name.removeprefix("level_")): tensor for name, tensor in tensors.items()}
        sizes = tuple((rows, columns) for rows, columns in frame["sizes"])
        return cls(
            main,
            dict(sorted(levels.items())),
            Frame(sizes, frame["input_size"], frame["padding"]),
        )
