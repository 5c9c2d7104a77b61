from unittest.mock import patch

import torch

from samdomain import add_lora, encode
from samdomain.anchor import guide
from samdomain.cache import SharedPrefix
from samdomain.cache.encoder import first_trained
from samdomain.testing import move_trained, tiny_sam


def test_the_frozen_part_runs_once_for_all_passes() -> None:
    """Anchor and student share what does not train, and are as they would be alone."""
    sam = tiny_sam()
    add_lora(sam, last=1)
    guides = guide(sam)
    move_trained(sam)
    images = torch.rand(2, 3, 64, 64) * 255
    with guides.as_anchor(sam):
        anchor = encode(sam, images).main
    student = encode(sam, images).main
    stem = sam.image_encoder.patch_embed
    view = SharedPrefix(sam)
    assert first_trained(sam.image_encoder.steps()) > 1
    with patch.object(stem, "forward", wraps=stem.forward) as runs:
        with guides.as_anchor(sam):
            assert torch.equal(encode(view, images).main, anchor)
        shared = encode(view, images).main
        assert torch.equal(shared, student)
        assert shared.requires_grad
        assert runs.call_count == 1
        encode(view, images + 1)
        assert runs.call_count == 2


def test_other_images_are_not_mistaken() -> None:
    """A second batch has its own features."""
    sam = tiny_sam()
    view = SharedPrefix(sam)
    for seed in range(2):
        images = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(seed)) * 255
        assert torch.equal(encode(view, images).main, encode(sam, images).main)
