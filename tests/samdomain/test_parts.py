import pytest

from samdomain import load_sam
from samdomain.errors import InjectionError
from samdomain.parts import late_modules


def test_late_modules_begin_with_a_block() -> None:
    """The last block of the tiny TinyViT lies in its fourth stage, and the neck comes after."""
    late = late_modules(load_sam("tiny"), 1)
    assert "image_encoder.stages.3.blocks.0.attn" in late
    assert "image_encoder.neck.2" in late
    assert not any(name.startswith("image_encoder.stages.2") for name in late)


@pytest.mark.parametrize("last", [0, 5])
def test_more_blocks_than_there_are_is_an_error(last: int) -> None:
    """The message says how many there are."""
    with pytest.raises(InjectionError, match="the encoder has 4 blocks"):
        late_modules(load_sam("tiny"), last)
