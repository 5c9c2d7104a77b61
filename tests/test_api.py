"""The public surface is what is recorded, and nothing else."""

import pytest

import samdomain

pytestmark = pytest.mark.contract

SURFACE = {
    "AutomaticMasks",
    "Domain",
    "Embedding",
    "Prediction",
    "Prompts",
    "SamDomainError",
    "SamSpec",
    "Segmenter",
    "accelerate",
    "add_adapter",
    "add_bands",
    "add_lora",
    "add_peft",
    "add_prompt_tokens",
    "add_spectral",
    "decode",
    "domain",
    "domains",
    "encode",
    "load_adapter",
    "load_sam",
    "load_segmenter",
    "merge",
    "pyramid",
    "save_adapter",
    "self_prompt",
    "trainable_parameters",
}


def test_surface_is_recorded() -> None:
    """A name joins or leaves the public surface only together with this test."""
    assert set(samdomain.__all__) == SURFACE
    assert list(samdomain.__all__) == sorted(samdomain.__all__)


@pytest.mark.parametrize("name", sorted(SURFACE))
def test_names_resolve(name: str) -> None:
    """Each public name can be had from the package."""
    assert getattr(samdomain, name).__name__ == name
    assert name in dir(samdomain)


def test_unknown_names_are_attribute_errors() -> None:
    """A typo is an AttributeError, as everywhere in Python."""
    with pytest.raises(AttributeError, match="laod_sam"):
        _ = samdomain.laod_sam
