"""Find the config that a name or a file stands for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from samdomain.door import domain, domains
from samdomain.errors import InputError, MissingExtraError

FLAGS = ("--config", "-c")
RUN_CONFIG = "config.yaml"
"""What the config of a run is called in its folder."""


def shipped_configs() -> dict[str, Path]:
    """Return the configs that the installed domains ship, by name."""
    found: dict[str, Path] = {}
    for name in domains():
        try:
            folder = domain(name).configs()
        except MissingExtraError:
            continue
        found |= {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return found


def find_config(config: str) -> Path:
    """Return the file of a config, given by its path, its run's folder, or its name.

    Raises:
        InputError: there is none.
    """
    path = Path(config)
    if path.is_file():
        return path
    if (path / RUN_CONFIG).is_file():
        return path / RUN_CONFIG
    known = shipped_configs()
    if config in known:
        return known[config]
    raise InputError(
        f"config {config!r} is neither a file nor shipped: shipped are {', '.join(known) or 'none'}"
    )


def with_config_paths(words: Sequence[str]) -> list[str]:
    """Put paths in the place of the configs' names in a command line."""
    found: list[str] = []
    for i, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in FLAGS and equals:
            found.append(f"{flag}={find_config(value)}")
        elif i and words[i - 1] in FLAGS:
            found.append(str(find_config(word)))
        else:
            found.append(word)
    return found


def configs(words: Sequence[str]) -> list[Path]:
    """Return the files of the configs in a command line, in their order."""
    found: list[Path] = []
    for i, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in FLAGS and equals:
            found.append(find_config(value))
        elif i and words[i - 1] in FLAGS:
            found.append(find_config(word))
    return found


def last_config(words: Sequence[str]) -> Path | None:
    """Return the file of the last config in a command line; None where there is none."""
    return next(reversed(configs(words)), None)


def names_task(words: Sequence[str]) -> bool:
    """Tell whether a command line's model is a class of its own, as a task of torchgeo is.

    Recipes have no `class_path`: their model is ours.
    """
    told = any(word == "--model" or word.startswith(_TASK_FLAGS) for word in words)
    return told or any(_is_task(path) for path in configs(words))


_TASK_FLAGS = ("--model=", "--model.class_path")


def _is_task(path: Path) -> bool:
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False  # whoever reads it next says what is wrong with it
    model: Any = values.get("model") if isinstance(values, dict) else None
    return isinstance(model, str) or (isinstance(model, dict) and "class_path" in model)
