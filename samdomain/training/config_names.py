"""Find the config that a name or a file stands for."""

from collections.abc import Sequence
from pathlib import Path

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


def last_config(words: Sequence[str]) -> Path | None:
    """Return the file of the last config in a command line; None where there is none."""
    last: Path | None = None
    for i, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in FLAGS and equals:
            last = find_config(value)
        elif i and words[i - 1] in FLAGS:
            last = find_config(word)
    return last
