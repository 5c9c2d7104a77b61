"""Remember the digests of downloads for which the registry has none: trust on first use."""

import json
from pathlib import Path

from samdomain.errors import WeightsError
from samdomain.weights.registry import Download, Weights, weights_folder
from samdomain.whole_file import whole_file


def expected_digest(entry: Weights) -> str:
    """Return the SHA-256 that a file must have: the registry's, else the one of its first download.

    Returns:
        The digest in hexadecimal, empty where neither is known.

    Raises:
        WeightsError: the file of pins is damaged.
    """
    if entry.sha256 or not isinstance(entry.source, Download):
        return entry.sha256
    return _read().get(entry.source.url, "")


def pin(url: str, digest: str) -> None:
    """Write the digest of a first download down, to compare all later ones with.

    Raises:
        WeightsError: the file of pins is damaged.
    """
    pins = _read() | {url: digest}
    path = _path()
    with whole_file(path, durable=True) as scratch:
        scratch.write_text(json.dumps(pins, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _path() -> Path:
    return weights_folder() / "pins.json"


def _read() -> dict[str, str]:
    path = _path()
    if not path.exists():
        return {}
    try:
        pins = json.loads(path.read_text(encoding="utf-8"))
        return {str(url): str(digest) for url, digest in pins.items()}
    except (ValueError, AttributeError) as error:
        raise WeightsError(
            f"{path} is damaged: it must hold an object of URLs and SHA-256 digests. Mend it, or "
            "delete it to trust the next downloads anew"
        ) from error
