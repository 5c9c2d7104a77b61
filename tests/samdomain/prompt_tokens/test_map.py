from collections.abc import Callable

import pytest
import torch

from samdomain import add_bands, add_prompt_tokens, load_sam
from samdomain.backbones import BACKBONES
from samdomain.errors import InjectionError, MergeError
from samdomain.injection import Injection, merge
from samdomain.prompt_tokens import PromptMap
from samdomain.sam import Sam


def test_maps_keep_to_the_contract(
    sam: Sam, check_contract: Callable[[Sam, Injection], None]
) -> None:
    """A map is silent at first, trains alone, and lowers a loss in 20 steps."""
    check_contract(sam, PromptMap(4))


def test_vit_b_counts_by_hand() -> None:
    """A map of 16 x 16 cells with the 768 channels of a patch."""
    with torch.device("meta"):
        sam = BACKBONES["sam_vit_b"].build(BACKBONES["sam_vit_b"].spec)
        add_prompt_tokens(sam, PromptMap())
    assert sum(one.numel() for one in sam.parameters() if one.requires_grad) == 16 * 16 * 768


@pytest.mark.parametrize("side", [4, 2])
def test_a_map_is_added_row_by_row(vit: Sam, side: int) -> None:
    """A map whose first row is 1 raises the tokens at the top, resized where it has to be."""
    pixels = torch.rand(1, 3, 64, 64)
    before = vit.image_encoder.patch_embed(pixels)
    add_prompt_tokens(vit, PromptMap(side))
    stem = vit.image_encoder.patch_embed
    with torch.no_grad():
        stem.prompt[:, :, 0] = 1
    rows = {4: [1.0, 0, 0, 0], 2: [1.0, 0.75, 0.25, 0]}[side]
    expected = torch.tensor(rows)[None, :, None, None].expand_as(before)
    torch.testing.assert_close(stem(pixels) - before, expected, rtol=1e-5, atol=1e-5)


def test_a_map_goes_together_with_bands() -> None:
    """Bands take the convolution within, the map the embedding around it."""
    sam = load_sam("tiny")
    add_bands(sam, 5)
    add_prompt_tokens(sam, PromptMap(4))
    assert sam.image_encoder.patch_embed(torch.rand(1, 5, 64, 64)).shape == (1, 8, 64, 64)


def test_a_map_refuses_to_merge() -> None:
    """The base's weights have no place for it."""
    sam = load_sam("tiny")
    add_prompt_tokens(sam, PromptMap(4))
    with pytest.raises(MergeError, match="has no place in the base's weights"):
        merge(sam)


def test_an_empty_map_is_refused() -> None:
    """Nothing would train."""
    with pytest.raises(InjectionError, match="is empty"):
        add_prompt_tokens(load_sam("tiny"), PromptMap(0))
