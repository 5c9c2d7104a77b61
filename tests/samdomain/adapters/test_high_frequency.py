from collections.abc import Callable

import pytest
import torch

from samdomain import add_adapter, add_bands, encode, load_sam
from samdomain.adapters import HighFrequencyPrompt
from samdomain.adapters.high_frequency import PromptMaker, high_pass
from samdomain.backbones import BACKBONES
from samdomain.errors import InjectionError
from samdomain.injection import Injection
from samdomain.sam import Sam


def test_prompts_keep_to_the_contract(
    sam: Sam, check_contract: Callable[[Sam, Injection], None]
) -> None:
    """Prompts are silent at first, train alone, and lower a loss in 20 steps."""
    check_contract(sam, HighFrequencyPrompt())


def test_the_high_pass_takes_away_what_is_even() -> None:
    """A flat image has no detail."""
    assert high_pass(torch.full((1, 3, 16, 16), 200.0), 0.25).abs().max() < 1e-4


def test_the_high_pass_keeps_a_checkerboard() -> None:
    """The finest pattern passes whole, as its magnitude, on a square and on an oblong."""
    for rows, columns in ((16, 16), (8, 12)):
        sign = (-1.0) ** (torch.arange(rows)[:, None] + torch.arange(columns))
        kept = high_pass(100 + 7 * sign[None, None], 0.25)
        torch.testing.assert_close(kept, torch.full_like(kept, 7))


@pytest.mark.parametrize(("waves", "kept"), [(3, 0.0), (5, 1.0)])
def test_the_rate_is_the_share_of_the_spectrum(waves: int, kept: float) -> None:
    """A quarter of the spectrum is half of each axis: of 16 columns, up to 4 waves are low."""
    wave = torch.cos(2 * torch.pi * waves * torch.arange(16) / 16).expand(1, 1, 16, 16)
    torch.testing.assert_close(high_pass(wave, 0.25), kept * wave.abs(), atol=1e-5, rtol=1e-5)


def test_detail_stays_where_it_is_in_the_image() -> None:
    """What happens in one patch prompts its own token only: rows and columns are not mixed."""
    maker = PromptMaker(dim=8, width=4, blocks=2, input_channels=3, stride=4)
    torch.nn.init.normal_(maker.up.weight)
    tokens, detail = torch.zeros(1, 3, 5, 8), torch.zeros(1, 3, 12, 20)
    calm = list(maker(tokens, detail))
    detail[0, :, 4:8, 12:16] = 1
    for still, moved in zip(calm, maker(tokens, detail), strict=True):
        changed = (moved - still).abs().sum(-1)[0] > 0
        assert changed.nonzero().tolist() == [[1, 3]]


def test_vit_b_counts_by_hand() -> None:
    """24 channels for 768; one shared way up; a layer for each of twelve blocks."""
    with torch.device("meta"):
        sam = BACKBONES["sam_vit_b"].build(BACKBONES["sam_vit_b"].spec)
        add_adapter(sam, HighFrequencyPrompt())
    count = sum(one.numel() for one in sam.parameters() if one.requires_grad)
    from_tokens, from_detail = 768 * 24 + 24, 3 * 16 * 16 * 24 + 24
    assert count == from_tokens + from_detail + 12 * (24 * 24 + 24) + 24 * 768 + 768


def test_the_encoder_gives_the_levels_of_the_base() -> None:
    """Maps and strides of TinyViT are those that it had."""
    sam = load_sam("tiny")
    pixels = torch.rand(3, 64, 64) * 255
    before = encode(sam, pixels)
    add_adapter(sam, HighFrequencyPrompt())
    after = encode(sam, pixels)
    assert list(after.levels) == list(before.levels)
    for stride, level in before.levels.items():
        assert torch.equal(after.levels[stride], level)


def test_the_first_gradient_reaches_the_way_up(vit: Sam) -> None:
    """At the start only the zero layer has a gradient, and it is not zero."""
    add_adapter(vit, HighFrequencyPrompt())
    encode(vit, torch.rand(3, 64, 64) * 255).main.square().sum().backward()
    maker = vit.image_encoder.prompts[0]
    assert maker.up.weight.grad.abs().sum() > 0
    assert maker.from_detail.weight.grad.abs().sum() == 0


def test_bands_have_to_come_first() -> None:
    """The prompt reads the pixels, so their number must be known."""
    sam = load_sam("tiny")
    add_bands(sam, 5)
    add_adapter(sam, HighFrequencyPrompt())
    encode(sam, torch.rand(5, 64, 64))
    late = load_sam("tiny")
    add_adapter(late, HighFrequencyPrompt())
    with pytest.raises(InjectionError, match="add the bands first"):
        add_bands(late, 5)


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": 1.0}, {"reduction": 0}], ids=str)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    """Nothing would be left to learn from."""
    with pytest.raises(InjectionError):
        HighFrequencyPrompt(**wrong)


def test_a_second_prompt_is_refused() -> None:
    """The encoder takes one."""
    sam = load_sam("tiny")
    add_adapter(sam, HighFrequencyPrompt())
    with pytest.raises(InjectionError, match="'image_encoder' holds a DetailedTinyViT"):
        add_adapter(sam, HighFrequencyPrompt())
