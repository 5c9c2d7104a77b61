import pytest

from samdomain.errors import InjectionError
from samdomain.parts import LAYERS, find_layers, late_modules
from samdomain.sam import Sam


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("encoder.qkv", 3),  # three stages with one block each
        ("encoder.proj", 3),
        ("encoder.mlp", 6),
        ("encoder.conv", 15),  # 3 of the first stage, 3 a merging and 1 a block of the others
        ("encoder.neck", 2),
        ("decoder.q", 7),  # three in each of two layers, and the final one
        ("decoder.proj", 7),
        ("decoder.mlp", 4),
    ],
)
def test_parts_are_counted_by_hand(tiny: Sam, part: str, count: int) -> None:
    """Each part has the layers that the architecture's drawing has."""
    assert len(find_layers(tiny, part)) == count


def test_a_pattern_names_any_layer(tiny: Sam) -> None:
    """What is no part's name is a pattern over names."""
    assert len(find_layers(tiny, "mask_decoder.iou_prediction_head.*")) == 3


def test_an_unknown_part_lists_what_is_allowed(tiny: Sam) -> None:
    """The message has all parts and one layer's name."""
    with pytest.raises(InjectionError, match=r"'encoder\.x'.*encoder\.q, .*conv1\.conv"):
        find_layers(tiny, "encoder.x")
    assert "encoder.x" not in LAYERS


def test_late_modules_end_with_the_neck(tiny: Sam) -> None:
    """The last block of four, and the neck; nothing before them."""
    late = late_modules(tiny, 1)
    assert "image_encoder.stages.3.blocks.0" in late
    assert "image_encoder.neck.2" in late
    assert "image_encoder.stages.3.downsample" not in late
    assert late < late_modules(tiny, 2)
