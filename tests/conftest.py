"""Fixtures that every test may use."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec

import jaxtyping
import pytest
import torch

from samdomain.injection import Injection
from samdomain.sam import Sam
from samdomain.testing import move_trained, tiny_sam
from samdomain.weights import REGISTRY, load_sam

# A plugin's tests run where its extra is installed.
_EXTRAS = {"samdomain_geo": "rasterio", "samdomain_med": "monai"}
collect_ignore = [tests for tests, library in _EXTRAS.items() if find_spec(library) is None]


@pytest.fixture(autouse=True, scope="session")
def _cache(request: pytest.FixtureRequest) -> Iterator[None]:
    """Converted models stay between runs, in pytest's own cache and not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMDOMAIN_CACHE", str(request.config.cache.mkdir("samdomain")))
        yield


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch the shape checker off, to reach the errors that users see without it."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def tiny() -> Sam:
    """A SAM that runs in milliseconds; shared, so no test may change it."""
    return tiny_sam()


@pytest.fixture
def trained() -> Callable[..., Sam]:
    """Make a tiny SAM with injections that hold random values, as training would leave them."""

    def make(*injections: Injection, seed: int = 1) -> Sam:
        sam = tiny_sam()
        for injection in injections:
            injection(sam)
        return move_trained(sam, seed=seed)

    return make


@pytest.fixture(scope="session")
def litemedsam() -> Sam:
    """The embedded weights; shared, so no test may change them."""
    if REGISTRY["litemedsam"].source.locate() is None:
        pytest.skip("the extra 'embedded' is not installed")
    return load_sam("litemedsam")
