import torch

from samdomain.prompting import low_res_masks, mask_prompts
from samdomain.sam import Frame


def test_masks_lie_where_their_image_lies() -> None:
    """The left half of a 32 x 64 image is 10 there, and -10 elsewhere and in the padding."""
    mask = torch.zeros(1, 32, 64, dtype=torch.bool)
    mask[:, :, :32] = True
    frame = Frame(((32, 64),), input_size=64)
    logits = mask_prompts(mask, frame, 16).masks
    assert logits is not None
    assert logits.shape == (1, 16, 16)
    inside = logits[0] > 0
    assert inside[:8, :8].all()
    assert inside.sum() == 64
    assert logits.max() == 10
    assert logits.min() == -10


def test_images_have_their_own_places() -> None:
    """Padding on both sides moves a mask to the middle; small images grow."""
    frame = Frame(((64, 64), (8, 16)), input_size=64, padding="both")
    whole = torch.ones(8, 16, dtype=torch.bool)
    logits = mask_prompts([whole], frame, 16, images=torch.tensor([1])).masks
    assert logits is not None
    rows = (logits[0] > 0).any(dim=1)
    assert rows.tolist() == [False] * 4 + [True] * 8 + [False] * 4


def test_empty_masks_are_allowed() -> None:
    """They are a prompt that says that nothing is there."""
    frame = Frame(((8, 8),), input_size=64)
    logits = mask_prompts(torch.zeros(1, 8, 8, dtype=torch.bool), frame, 16, logit=5.0).masks
    assert logits is not None
    assert (logits == -5).all()


def test_shares_tell_how_much_of_a_cell_is_object() -> None:
    """Half of a cell is 0.5; without masks there is nothing, in the size of the logits."""
    frame = Frame(((64, 64),), input_size=64)
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[:, :, :10] = True
    row = low_res_masks(mask, frame, 16)[0, 5]
    assert row[0] > 0.9
    assert 0.4 < row[2] < 0.6
    assert row[4:].max() == 0
    assert low_res_masks([], frame, 16).shape == (0, 16, 16)
