"""Fetch registered weights into the user's cache, and accept only the right file."""

from samdomain.errors import WeightsError
from samdomain.weights.download import download
from samdomain.weights.loading import registered, sha256, verify
from samdomain.weights.pins import expected_digest, pin
from samdomain.weights.registry import Download


def fetch(name: str) -> str:
    """Download registered weights, unless they are here, and return their SHA-256.

    The digest is compared with the registry's; where that has none, the first download is
    trusted and its digest pinned in the cache. A file that differs is put aside under
    `.rejected` and never loaded.

    Args:
        name: a name of the registry.

    Raises:
        WeightsError: the name is unknown, the weights are not for download, the server refuses
            them, or the file has another digest.
        StoppedError: the download stopped half-way; the next call goes on with it.
    """
    entry = registered(name)
    source = entry.source
    if source.locate() is not None:
        return verify(name)
    if not isinstance(source, Download):
        raise WeightsError(f"weights {name!r} are not downloaded: {source.advice(name)}")
    part = download(source.url, source.path)
    digest = sha256(part)
    expected = expected_digest(entry)
    if expected and digest != expected:
        rejected = source.path.with_name(source.path.name + ".rejected")
        part.replace(rejected)
        raise WeightsError(
            f"weights {name!r} arrived with SHA-256 {digest}, expected {expected}: the file is put "
            f"aside as {rejected}. Fetch again; if it differs again, its publisher or something "
            "between has changed it, and it must not be used"
        )
    if not expected:
        pin(source.url, digest)
    part.replace(source.path)
    return digest
