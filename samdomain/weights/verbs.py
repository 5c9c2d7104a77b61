"""`samdomain weights list` and `samdomain weights verify`."""

from samdomain.door import Facts
from samdomain.weights.loading import verify
from samdomain.weights.registry import REGISTRY


def list_weights() -> Facts:
    """List the known weights: whether they are here, their terms and their digests."""
    return Facts(
        {
            name: {
                "file": str(entry.source.locate() or f"absent: {entry.source.advice()}"),
                "prompts": ", ".join(sorted(entry.backbone.spec.prompts)),
                "input": f"{entry.backbone.spec.input_size} px",
                "licence": entry.licence,
                "sha256": entry.sha256 or "not pinned",
            }
            for name, entry in REGISTRY.items()
        }
    )


def verify_weights(name: str = "") -> Facts:
    """Compare the files of weights with the registry's digests.

    Args:
        name: weights to verify; all that are on this machine by default.
    """
    present = [known for known, entry in REGISTRY.items() if entry.source.locate() is not None]
    chosen = [name] if name else present
    return Facts({one: f"{verify(one)} ({_verdict(one)})" for one in chosen})


def _verdict(name: str) -> str:
    return "as registered" if REGISTRY[name].sha256 else "the registry pins no digest"
