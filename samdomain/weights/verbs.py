"""`samdomain weights list`, `samdomain weights fetch` and `samdomain weights verify`."""

from samdomain.door import Facts
from samdomain.errors import StoppedError
from samdomain.weights.fetching import fetch
from samdomain.weights.loading import registered, verify
from samdomain.weights.pins import expected_digest
from samdomain.weights.registry import REGISTRY


def list_weights() -> Facts:
    """List the known weights: whether they are here, their terms and their digests."""
    return Facts(
        {
            name: {
                "file": str(entry.source.locate() or f"absent: {entry.source.advice(name)}"),
                "prompts": ", ".join(sorted(entry.backbone.spec.prompts)),
                "input": f"{entry.backbone.spec.input_size} px",
                "licence": entry.licence,
                "sha256": expected_digest(entry) or "not pinned",
            }
            for name, entry in REGISTRY.items()
        }
    )


def fetch_weights(name: str) -> Facts:
    """Download weights into the cache, or go on with a download that was interrupted.

    Args:
        name: weights to fetch, as `samdomain weights list` names them.
    """
    try:
        digest = fetch(name)
    except KeyboardInterrupt:
        raise StoppedError(
            f"interrupted; what came so far is kept: samdomain weights fetch {name} goes on with it"
        ) from None
    entry = registered(name)
    return Facts(
        {
            "weights": name,
            "file": str(entry.source.locate()),
            "sha256": f"{digest} ({_verdict(name)})",
            "licence": entry.licence,
        }
    )


def verify_weights(name: str = "") -> Facts:
    """Compare the files of weights with the digests that are registered or pinned.

    Args:
        name: weights to verify; all that are on this machine by default.
    """
    present = [known for known, entry in REGISTRY.items() if entry.source.locate() is not None]
    chosen = [name] if name else present
    return Facts({one: f"{verify(one)} ({_verdict(one)})" for one in chosen})


def _verdict(name: str) -> str:
    entry = registered(name)
    if entry.sha256:
        return "as registered"
    return "as first downloaded" if expected_digest(entry) else "no digest is known to compare"
