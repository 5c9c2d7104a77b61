from dataclasses import replace

import pytest
import torch

from samdomain.errors import InputError
from samdomain.sam import Sam, SamSpec, encode
from samdomain.sam.encoding import normalise

STATISTICS = SamSpec("x", 64, 4, 64, pixel_mean=(10.0, 20.0, 30.0), pixel_std=(2.0, 4.0, 5.0))


def test_statistics_are_applied_by_channel() -> None:
    """(pixel - mean) / std, channel by channel."""
    pixels = torch.tensor([12.0, 28.0, 25.0])[:, None, None]
    assert normalise(STATISTICS, pixels).flatten().tolist() == [1.0, 2.0, -1.0]


def test_minmax_uses_the_image_or_the_given_range() -> None:
    """The image's own extremes map to 0 and 1, or those of a scene where given."""
    spec = SamSpec("x", 64, 4, 64, 1, "minmax", (0.0,), (1.0,))
    pixels = torch.tensor([[[50.0, 100.0]]])
    assert normalise(spec, pixels).flatten().tolist() == [0.0, 1.0]
    assert normalise(spec, pixels, (0.0, 200.0)).flatten().tolist() == [0.25, 0.5]


def test_channels_that_share_no_range_have_their_own() -> None:
    """The first two channels are scaled together, the third alone, and all by a given range."""
    spec = SamSpec("x", 64, 4, 64, 3, "minmax", (0.0,) * 3, (1.0,) * 3, range_channels=(0, 1))
    pixels = torch.tensor([[[0.0, 50.0]], [[100.0, 25.0]], [[-8.0, -4.0]]])
    own = normalise(spec, pixels)[:, 0].tolist()
    assert own == [[0.0, 0.5], [1.0, 0.25], [0.0, 1.0]]
    assert normalise(spec, pixels, (0.0, 200.0))[2, 0].tolist() == pytest.approx([-0.04, -0.02])


def test_a_constant_image_stays_finite() -> None:
    """Min-max scaling of a constant image divides by no zero."""
    spec = SamSpec("x", 64, 4, 64, 1, "minmax", (0.0,), (1.0,))
    assert normalise(spec, torch.full((1, 2, 2), 7.0)).isfinite().all()
    apart = SamSpec("x", 64, 4, 64, 2, "minmax", (0.0,) * 2, (1.0,) * 2, range_channels=(0,))
    assert normalise(apart, torch.full((2, 2, 2), 7.0)).isfinite().all()


def test_padding_is_zero_after_normalisation(tiny: Sam) -> None:
    """The encoder sees the mean colour beside the image, as SAM was trained."""
    seen = []
    hook = tiny.image_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encode(tiny, torch.full((3, 32, 64), 255.0))
    hook.remove()
    assert seen[0][0, :, 32:].abs().max() == 0
    assert seen[0][0, :, :32].abs().min() > 0


def test_images_of_different_sizes_make_one_batch(tiny: Sam) -> None:
    """A list of images encodes as each image alone."""
    images = [torch.rand(3, 20, 30) * 255, torch.rand(3, 64, 50) * 255]
    together = encode(tiny, images)
    assert together.frame.sizes == ((20, 30), (64, 50))
    for i, image in enumerate(images):
        assert torch.allclose(together.main[i], encode(tiny, image).main[0], atol=1e-5)


def test_integer_pixels_equal_floating_ones(tiny: Sam) -> None:
    """uint8 pixels need no conversion by the caller."""
    image = torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8)
    assert torch.equal(encode(tiny, image).main, encode(tiny, image.float()).main)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(4, 8, 8), r"takes \(3, H, W\)"),
        (torch.zeros(3, 0, 8), "a pixel at least"),
        (torch.full((3, 8, 8), torch.nan), "not finite"),
        ([], "no image"),
    ],
)
def test_unusable_images_are_refused(tiny: Sam, image: object, message: str) -> None:
    """Each fault is named with the way out."""
    with pytest.raises(InputError, match=message):
        encode(tiny, image)


def test_spec_replaced_changes_the_preprocessing(tiny: Sam) -> None:
    """The spec, not the class of the model, decides the preprocessing."""
    image = torch.rand(3, 64, 64) * 255
    plain = encode(tiny, image).main
    original = tiny.spec
    try:
        tiny.spec = replace(original, pixel_mean=(0.0, 0.0, 0.0))
        assert not torch.allclose(encode(tiny, image).main, plain)
    finally:
        tiny.spec = original
