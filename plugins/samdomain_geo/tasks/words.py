"""What torchgeo's words for a task say of the recipe and of the model that it adapts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

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
        InputError: the preset is unknown, or the classes contradict one another.
    """
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
        InputError: the preset is unknown, or the task is another one.
    """
    presets = SamCD.presets()
    if words["preset"] not in presets:
        raise InputError(f"preset is {words['preset']!r}: allowed are {', '.join(presets)}")
    if (words["model"], words["task"]) != ("sam_cd", "binary"):
        raise InputError(
            f"model is {words['model']!r} and task {words['task']!r}: allowed are 'sam_cd' and "
            "'binary'"
        )
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
