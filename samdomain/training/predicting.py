"""The work behind `samdomain predict`."""

import logging
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from samdomain.door import Facts, Report
from samdomain.errors import InputError, PartialError
from samdomain.recipes import THING, Legend
from samdomain.sam import encode
from samdomain.training.command import Command
from samdomain.training.fit import out_folder, quiet_warnings
from samdomain.training.measuring import adapter_of, run_of
from samdomain.training.model import Adapted, adapted
from samdomain.training.pictures import pictures, read_image
from samdomain.training.publishing import published, told_of_disk

logger = logging.getLogger(__name__)


def predict(words: Sequence[str]) -> Report:
    """Write the mask of each image of a folder; see `samdomain predict --help`.

    Raises:
        InputError: there is no image, or the adapter needs prompts.
        PartialError: some images could not be read; they are listed, the others are done.
    """
    command = Command("predict", words)
    folder = command.config.images
    if folder is None or not Path(folder).is_dir():
        raise InputError(f"--images is {folder}: give the folder of the images to predict")
    paths = pictures(Path(folder))
    if not paths:
        raise InputError(f"{folder} has no images")
    out = command.config.out or out_folder(command, words) / "predicted"
    with quiet_warnings(), redirect_stdout(sys.stderr):
        model = adapted(command, adapter_of(command, run_of(words)))
        if model.recipe.output == "change":
            raise InputError(
                f"recipe {model.recipe.name!r} compares two dates: samdomain change takes them"
            )
        if model.recipe.legend is None:
            raise InputError(
                f"recipe {model.recipe.name!r} needs prompts: samdomain segment takes them"
            )
        failed = _predict(model, Path(folder), paths, Path(out))
    if failed:
        raise PartialError(
            f"{len(failed)} of {len(paths)} images could not be read, as {failed[0]}; the masks of "
            f"the others are in {out}"
        )
    return Facts({"masks": str(out), "images": len(paths)})


def _predict(model: Adapted, folder: Path, paths: Sequence[Path], out: Path) -> list[str]:
    device = model.sam.prompt_encoder.get_dense_pe().device
    failed: list[str] = []
    legend = model.recipe.legend or THING
    for path in paths:
        try:
            image = read_image(path)
        except InputError as error:
            logger.error("%s", error)
            failed.append(path.name)
            continue
        with torch.no_grad():
            embedding = encode(model.sam, image.to(device), model.value_range)
            logits = model.recipe.answer(model.sam, embedding).logits[0]
        target = (out / path.relative_to(folder)).with_suffix(".png")
        with told_of_disk(out), published(target) as scratch:
            Image.fromarray(drawn(legend, logits)).save(scratch)
    return failed


def drawn(legend: Legend, logits: Tensor) -> NDArray[np.uint8]:
    """Return what a mask file holds: 255 on the thing, or the class of each pixel.

    Classes that may overlap give one picture, in which the last that is there wins.
    """
    there = legend.decide(logits).cpu().numpy()
    if legend == THING:
        return there[0].astype(np.uint8) * 255
    classes = np.zeros(there.shape[1:], np.uint8)
    for number, plane in enumerate(there, start=1 if legend.overlapping else 0):
        classes[plane] = number
    return classes
