"""`samdomain doctor`: what this installation is made of, and what is missing in it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from samdomain.door import Facts, domain, domains
from samdomain.errors import MissingExtraError
from samdomain.weights import REGISTRY, cache_folder

_LIBRARIES = (
    "samdomain",
    "torch",
    "torchvision",
    "timm",
    "segment-anything",
    "peft",
    "openvino",
    "onnxscript",
    "torchgeo",
    "rasterio",
    "geopandas",
    "lightning",
    "monai",
)


def doctor() -> Facts:
    """Tell which versions, devices, weights and domains are here, and what to install."""
    return Facts(
        {
            "python": platform.python_version(),
            "versions": {name: _version(name) for name in _LIBRARIES},
            "device": _device(),
            "cache": str(cache_folder()),
            "weights": {
                name: str(entry.source.locate() or f"absent: {entry.source.advice(name)}")
                for name, entry in REGISTRY.items()
            },
            "domains": {name: _state(name) for name in domains()},
            "environment": _environment(),
        }
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _device() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda})"
    return f"CPU, {torch.get_num_threads()} threads"


def _state(name: str) -> str:
    try:
        verbs = domain(name).verbs()
    except MissingExtraError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - to tell of what is broken is the doctor's job
        return f"broken: {type(error).__name__}: {error}"
    return f"ready: {', '.join(verbs)}" if verbs else "ready, no verbs yet"


def _environment() -> str:
    # A PROJ or GDAL folder of another installation makes pyproj and rasterio fail with
    # messages about a missing proj.db that never name the variable.
    foreign = [name for name in ("PROJ_LIB", "PROJ_DATA", "GDAL_DATA") if os.environ.get(name)]
    if foreign:
        return f"{', '.join(foreign)} is set: unset it if coordinates cannot be transformed"
    return "clean"
