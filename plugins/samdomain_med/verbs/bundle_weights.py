"""`samdomain med bundle-weights`: make a MONAI bundle that is ready to run, of an adapter."""

from pathlib import Path

from samdomain.door import Facts
from samdomain.errors import MissingExtraError


def bundle_weights(*, bundle: str, adapter: str, out: Path, overwrite: bool = False) -> Facts:
    """Copy a shipped MONAI bundle and give it the weights of an adapter.

    In the copy `models/model.pt` holds base and adapter as plain tensors, the adapter's own
    files stand beside it, and `python -m monai.bundle run --config_file configs/inference.json`
    runs. Research only, as the bundle says of itself.

    Args:
        bundle: name of the bundle, as polyp_sam_sp.
        adapter: folder of an adapter of the bundle's recipe, or name of a shipped one.
        out: folder to write, whole or not at all.
        overwrite: replace a bundle that stands there.
    """
    try:
        from samdomain_med.bundle import write_bundle  # noqa: PLC0415 - MONAI takes seconds
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("samdomain"):
            raise
        raise MissingExtraError(
            f"bundles need {error.name}: pip install 'samdomain[med]'"
        ) from error
    weights = write_bundle(bundle, adapter, Path(out), overwrite=overwrite)
    return Facts(
        {
            "bundle": str(out),
            "weights": str(weights),
            "bytes": weights.stat().st_size,
            "then": f"cd {out} && python -m monai.bundle run --config_file configs/inference.json "
            "--dataset_dir IMAGES",
        }
    )
