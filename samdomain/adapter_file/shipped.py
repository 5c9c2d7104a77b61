"""Find the adapters that the installed domains ship."""

from contextlib import suppress
from pathlib import Path

from samdomain.adapter_file.saving import DESCRIPTION
from samdomain.door import domain, domains
from samdomain.errors import InputError, MissingExtraError


def shipped() -> dict[str, Path]:
    """Return the folders of the adapters that the installed domains ship, by name."""
    found: dict[str, Path] = {}
    for name in domains():
        try:
            folder = domain(name).adapters()
        except MissingExtraError:
            continue
        if folder.is_dir():
            found |= {p.parent.name: p.parent for p in sorted(folder.glob(f"*/{DESCRIPTION}"))}
    return found


def find_adapter(adapter: str | Path) -> Path:
    """Return the folder of an adapter by its path, or by the name of a shipped one.

    Raises:
        InputError: there is neither.
    """
    folder = Path(adapter)
    with suppress(OSError):  # a name that is too long for a path is no folder either
        if folder.is_dir():
            return folder
    known = shipped()
    if str(adapter) in known:
        return known[str(adapter)]
    raise InputError(
        f"adapter {str(adapter)!r} is neither a folder nor shipped: shipped are "
        f"{', '.join(known) or 'none'}"
    )
