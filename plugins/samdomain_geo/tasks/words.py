"""What torchgeo's words for a task say of the recipe and of the model that it adapts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from samdomain.adapter_file import load_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.errors import InputError
from samdomain.lora import LoRA
from samdomain.policies import freeze_parts
from samdomain.recipes import Recipe, SAMed
from samdomain.sam import Sam
from samdomain.weights import load_sam
from samdomain_geo.recipes import SamCD

Words = Mapping[str, Any]
"""Arguments of a task, as Lightning keeps them."""


def read_recipe(words: Words) -> SAMed:
    """Return the recipe that a task asks for.

    Raises:
        InputError: the preset is unknown, the classes contradict one another, or weights are given
            that the loss does not look at.
    """
    _refuse_idle(words, {"class_weights": ("samed", "ce"), "pos_weight": ("bce",)})
    presets = SAMed.presets()
    if words["preset"] not in presets:
        raise InputError(f"preset is {words['preset']!r}: allowed are {', '.join(presets)}")
    recipe, classes = presets[words["preset"]], _classes(words)
    weights = () if words["class_weights"] is None else words["class_weights"]
    ignored = words["ignore_index"]
    return replace(
        recipe,
        classes=classes,
        multilabel=words["task"] != "multiclass",
        # torchgeo's may be a class too, which the adapter's files have no word for.
        ignore=recipe.ignore if ignored in {None, *range(len(classes))} else ignored,
        bands=words["in_channels"],
        rgb=tuple(words["rgb"]),
        cost=replace(recipe.cost, weights=tuple(float(one) for one in weights)),
    )


def read_change_recipe(words: Words) -> SamCD:
    """Return the recipe that a task of change asks for.

    Raises:
        InputError: the preset is unknown, the task is another one, or a word is given that means
            nothing where a pixel changed or did not.
    """
    presets = SamCD.presets()
    if words["preset"] not in presets:
        raise InputError(f"preset is {words['preset']!r}: allowed are {', '.join(presets)}")
    if (words["model"], words["task"]) != ("sam_cd", "binary"):
        raise InputError(
            f"model is {words['model']!r} and task {words['task']!r}: allowed are 'sam_cd' and "
            "'binary'"
        )
    _refuse_classes(words)
    _refuse_idle(words, {"pos_weight": ("bce",)})
    rank = words["encoder_rank"]
    return replace(
        presets[words["preset"]],
        bands=words["in_channels"],
        rgb=tuple(words["rgb"]),
        lora=LoRA(("encoder.q", "encoder.v"), rank=rank) if rank else None,
    )


def load_adapted(words: Words, recipe: Recipe) -> Sam:
    """Load the model, put an adapter onto it where one is named, and adapt it by the recipe.

    Raises:
        InputError: weights or adapter are not there, or fit neither one another nor the recipe.
    """
    sam = load_sam(words["weights"], input_size=words["input_size"])
    if words["adapter"] is not None:
        sam = load_adapter(find_adapter(words["adapter"]), sam).sam
    recipe.adapt(sam)
    # Convolutions run faster so; no value changes.
    sam.get_submodule("image_encoder").to(memory_format=torch.channels_last)
    if words.get("freeze_backbone"):
        freeze_parts(sam, ["encoder"])
    return sam


def positive_weight(words: Words) -> Tensor | None:
    """Return what true pixels weigh, for torch's BCE of (..., H, W), or of (B, K, H, W).

    A list has a weight for each of K labels; tensors are taken as they are.
    """
    given = words["pos_weight"]
    if given is None or isinstance(given, Tensor):
        return given
    weights = torch.tensor(given, dtype=torch.float32)
    return weights[:, None, None] if weights.ndim else weights


def _refuse_idle(words: Words, losses: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse weights that the loss does not look at, as most of torchgeo's do not.

    Raises:
        InputError: one is given.
    """
    for word, looking in losses.items():
        if words[word] is not None and words["loss"] not in looking:
            raise InputError(
                f"{word} is given, but loss {words['loss']!r} does not look at it: leave it out, "
                f"or take loss {' or '.join(map(repr, looking))}"
            )


def _refuse_classes(words: Words) -> None:
    """Refuse what torchgeo's task knows of several classes.

    Raises:
        InputError: it is given.
    """
    for word in ("num_classes", "num_labels"):
        if words[word] not in {None, 1}:
            raise InputError(
                f"{word} is {words[word]}, but a pixel changed or did not: leave it out"
            )
    if words["labels"] is not None:
        raise InputError(f"labels is {words['labels']}, but nothing is named here: leave it out")
    if words["class_weights"] is not None:
        raise InputError(
            "class_weights is given, but there is one class: leave it out, or weigh changes by "
            "pos_weight with loss 'bce'"
        )


def _classes(words: Words) -> tuple[str, ...]:
    """Return the names of the classes.

    Raises:
        InputError: their number is not given, or differs from that of the names.
    """
    task, named = words["task"], words["labels"]
    counts = {"binary": 1, "multiclass": words["num_classes"], "multilabel": words["num_labels"]}
    if task not in counts:
        raise InputError(f"task is {task!r}: allowed are {', '.join(counts)}")
    count = counts[task]
    if not count:
        wanted = "num_classes" if task == "multiclass" else "num_labels"
        raise InputError(f"task is {task!r}: give {wanted}")
    if named is not None and len(named) != count:
        raise InputError(f"{len(named)} labels are named for {count} classes: name each")
    if named is None:
        return ("object",) if task == "binary" else tuple(f"class {i}" for i in range(count))
    return tuple(named)
