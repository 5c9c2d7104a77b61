"""`samdomain adapter list`, `samdomain adapter show` and `samdomain adapter merge`."""

from pathlib import Path

from samdomain.adapter_file.checkpoint import check_target, write_checkpoint
from samdomain.adapter_file.loading import load_adapter, read_adapter
from samdomain.adapter_file.shipped import find_adapter, shipped
from samdomain.door import Facts
from samdomain.errors import InputError
from samdomain.injection import merge


def list_adapters() -> Facts:
    """List the adapters that the installed domains ship."""
    found: dict[str, object] = {}
    for name, folder in shipped().items():
        adapter = read_adapter(folder)
        found[name] = {
            "for": adapter.card.summary,
            "base": adapter.base.name,
            "output": adapter.card.output,
            **({"modality": adapter.card.modality} if adapter.card.modality else {}),
            "folder": str(folder),
        }
    return Facts(found or {"adapters": "none is shipped with the installed domains"})


def show_adapter(adapter: str) -> Facts:
    """Show what an adapter says of itself.

    Args:
        adapter: name of a shipped adapter, or a folder.
    """
    folder = find_adapter(adapter)
    described = read_adapter(folder)
    size = sum(
        (folder / name).stat().st_size for name in described.files if (folder / name).exists()
    )
    values = described.to_json()
    return Facts({"folder": str(folder), "bytes": size, **values})


def merge_adapter(adapter: str, *, out: Path, overwrite: bool = False) -> Facts:
    """Fold an adapter into its base, as a plain checkpoint that other programs load.

    Args:
        adapter: name of a shipped adapter, or a folder.
        out: file to write: .pth as published checkpoints are, or .safetensors.
        overwrite: replace a file that stands there.
    """
    check_target(out, overwrite=overwrite)
    loaded = load_adapter(find_adapter(adapter))
    if loaded.head:
        raise InputError(
            f"{adapter} has a head of {len(loaded.head)} tensors beside the model, which a plain "
            "checkpoint cannot hold: use it as an adapter"
        )
    write_checkpoint(merge(loaded.sam), out, overwrite=overwrite)
    return Facts({"checkpoint": str(out), "base": loaded.sam.spec.name})
