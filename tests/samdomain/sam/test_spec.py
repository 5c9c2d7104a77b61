import json

import pytest

from samdomain.errors import InputError
from samdomain.sam import SamSpec


def spec(**changes: object) -> SamSpec:
    return SamSpec(
        **{"name": "x", "input_size": 64, "embedding_stride": 4, "mask_size": 64} | changes
    )


def test_spec_survives_json() -> None:
    """A spec read back from JSON equals the one that was written."""
    original = spec(scaling="minmax", prompts=frozenset({"box"}), range_channels=(0, 2))
    assert SamSpec.from_json(json.loads(json.dumps(original.to_json()))) == original


def test_embedding_size_follows_from_stride() -> None:
    """64 pixels at stride 4 make 16 cells."""
    assert spec().embedding_size == 16


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_channels": 4}, "4 input channels"),
        ({"scaling": "zscore"}, "allowed are none, minmax"),
        ({"padding": "left"}, "allowed are end, both"),
        ({"prompts": frozenset({"text"})}, "'text'"),
        ({"range_channels": (0, 3)}, "allowed are 0 to 2"),
    ],
)
def test_spec_refuses_what_contradicts(changes: dict, message: str) -> None:
    """A contradiction is named with what is allowed."""
    with pytest.raises(InputError, match=message):
        spec(**changes)


def test_from_json_names_unknown_and_missing_fields() -> None:
    """A field of a newer schema is an error that names it."""
    with pytest.raises(InputError, match="colour"):
        SamSpec.from_json({**spec().to_json(), "colour": 1})
    with pytest.raises(InputError, match="mask_size"):
        SamSpec.from_json({"name": "x", "input_size": 64, "embedding_stride": 4})


def test_another_input_size_scales_embedding_and_logits() -> None:
    """SAM's ViT at 512 pixels has 32 x 32 cells and logits of 128 x 128; all else stays."""
    native = spec(input_size=1024, embedding_stride=16, mask_size=256)
    small = native.at(512)
    assert (small.embedding_size, small.mask_size) == (32, 128)
    assert small.at(1024) == native
