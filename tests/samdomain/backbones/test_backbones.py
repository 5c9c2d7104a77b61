import pytest
import torch

from samdomain.backbones import BACKBONES, recognise
from samdomain.errors import WeightsError
from samdomain.sam import Sam


def test_each_architecture_recognises_itself() -> None:
    """A state dict is told by its keys and shapes alone."""
    for name, backbone in BACKBONES.items():
        with torch.device("meta"):
            state = backbone.build(backbone.spec).state_dict()
        assert recognise(state).spec.name == name


def test_a_foreign_state_names_the_nearest(tiny: Sam) -> None:
    """The error says which architecture is nearest and which entry differs."""
    state = dict(tiny.state_dict())
    state["image_encoder.neck.0.weight"] = torch.zeros(1)
    with pytest.raises(WeightsError, match=r"nearest is 'tiny'.*neck\.0\.weight"):
        recognise(state)


def test_names_agree_with_specs() -> None:
    """A backbone's name in the catalogue is the name in its spec."""
    assert {name: backbone.spec.name for name, backbone in BACKBONES.items()} == {
        name: name for name in BACKBONES
    }
