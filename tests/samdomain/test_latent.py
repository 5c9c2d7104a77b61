import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from samdomain import encode, pyramid
from samdomain.errors import InputError
from samdomain.latent import LatentAttention, LatentBranch
from samdomain.losses import temporal_loss
from samdomain.sam import Sam


@pytest.fixture
def changed() -> Tensor:
    mask = torch.zeros(2, 4, 6, dtype=torch.bool)
    mask[:, :2] = True
    return mask


def test_one_map_is_read_as_the_published_code_does() -> None:
    """A single 1x1 convolution from 64 channels to 8 is 520 values."""
    branch = LatentBranch({4: 64})
    assert sum(one.numel() for one in branch.parameters()) == 64 * 8 + 8
    assert branch({4: torch.rand(2, 64, 5, 7)}).shape == (2, 8, 5, 7)


def test_several_maps_are_one_convolution_of_all() -> None:
    """The sum over maps is a 1x1 convolution of the resampled maps, concatenated."""
    branch = LatentBranch({4: 3, 8: 5}, latents=6)
    maps = {8: torch.rand(2, 5, 4, 4), 4: torch.rand(2, 3, 8, 8)}
    coarse = F.interpolate(maps[8], (8, 8), mode="bilinear", align_corners=False)
    weight = torch.cat([branch.maps["4"].weight, branch.maps["8"].weight], dim=1)
    expected = F.conv2d(torch.cat([maps[4], coarse], dim=1), weight, branch.maps["4"].bias)
    torch.testing.assert_close(branch(maps), expected)


def test_it_works_on_the_pyramid_of_any_encoder(sam: Sam) -> None:
    """Strides and channels are those of the encoder's own maps."""
    with torch.no_grad():
        embedding = encode(sam, torch.rand(3, 64, 64))
        strides = sorted(embedding.levels)
        maps = pyramid(embedding, strides)
        branch = LatentBranch({stride: maps[stride].shape[1] for stride in strides})
        assert branch(maps).shape[-1] == 64 // strides[0]


def test_normalised_latents_are_shares() -> None:
    """By hand: logits 0 and 3 ln 3 at temperature 3 are shares of 1/4 and 3/4."""
    branch = LatentBranch({4: 1}, latents=2, temperature=3.0)
    raw = torch.tensor([0.0, 3 * torch.tensor(3.0).log()])[None, :, None, None]
    torch.testing.assert_close(branch.normalised(raw).flatten(), torch.tensor([0.25, 0.75]))


def test_a_constant_on_all_latents_changes_no_share() -> None:
    """What is added to every latent of a cell is not seen."""
    branch = LatentBranch({4: 1})
    raw = torch.randn(1, 8, 3, 3)
    shifted = raw + torch.randn(1, 1, 3, 3)
    torch.testing.assert_close(branch.normalised(shifted), branch.normalised(raw))


def test_the_branch_learns_to_agree_in_20_steps(changed: Tensor) -> None:
    """On two fixed maps the unchanged cells come nearer."""
    branch = LatentBranch({4: 4}, temperature=1.0)
    dates = [{4: torch.randn(2, 4, 4, 6)} for _ in range(2)]
    optimizer = torch.optim.Adam(branch.parameters(), lr=0.05)
    losses: list[float] = []
    for _ in range(20):
        loss = temporal_loss(
            *(branch(one) for one in dates), changed, temperature=branch.temperature
        )
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]


def test_attention_weighs_channels_and_cells() -> None:
    """16 factors between 0 and 1 for each cell; 68 + 8 + 80 values as published."""
    attention = LatentAttention()
    factors = attention(torch.randn(2, 8, 4, 6), torch.randn(2, 8, 4, 6))
    assert factors.shape == (2, 16, 4, 6)
    assert 0 < factors.min() <= factors.max() < 1
    assert sum(one.numel() for one in attention.parameters()) == 16 * 4 + 4 + 2 * 4 + 4 * 16 + 16


def test_missing_maps_are_named() -> None:
    """A stride that was promised and not given is an error."""
    with pytest.raises(InputError, match=r"misses the maps at strides \[8\]"):
        LatentBranch({4: 4, 8: 4})({4: torch.zeros(1, 4, 2, 2)})


@pytest.mark.parametrize("wrong", [{"latents": 0}, {"temperature": 0.0}], ids=str)
def test_senseless_branches_are_refused(wrong: dict[str, float]) -> None:
    """The message says what is allowed."""
    with pytest.raises(InputError, match="a temperature above 0"):
        LatentBranch({4: 4}, **wrong)
