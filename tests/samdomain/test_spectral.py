import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from samdomain import add_spectral, load_sam
from samdomain.backbones import BACKBONES
from samdomain.errors import InjectionError
from samdomain.injection import Injection, injections, merge
from samdomain.modules import match
from samdomain.sam import Sam
from samdomain.spectral import NECK, Spectral, SpectralConv2d


@pytest.fixture
def convolution() -> nn.Conv2d:
    return nn.Conv2d(3, 6, kernel_size=3, padding=1, stride=2)


def trained_values(sam: Sam) -> int:
    return sum(one.numel() for one in sam.parameters() if one.requires_grad)


def test_spectral_tuning_keeps_to_the_contract(
    sam: Sam, check_contract: Callable[[Sam, Injection], None]
) -> None:
    """Deltas of zero are the base to the last bit; they train alone and lower a loss."""
    check_contract(sam, Spectral())


@pytest.mark.parametrize("name", ["sam_vit_b", "sam_vit_l", "sam_vit_h", "litemedsam"])
def test_every_published_neck_has_512_values(name: str) -> None:
    """256 for each of the two convolutions, on ViT-B, L and H and on TinyViT."""
    with torch.device("meta"):
        sam = BACKBONES[name].build(BACKBONES[name].spec)
    sam.image_encoder.neck.to_empty(device="cpu")
    for parameter in sam.image_encoder.neck.parameters():
        nn.init.normal_(parameter)
    assert add_spectral(sam).modules == ("image_encoder.neck.0", "image_encoder.neck.2")
    assert trained_values(sam) == 512


def test_singular_values_can_be_checked_by_hand() -> None:
    """diag(3, 2) has the singular values 3 and 2; moved by (1, -4) it is diag(4, -2)."""
    plain = nn.Conv2d(2, 2, kernel_size=1, bias=False)
    plain.weight = nn.Parameter(torch.diag(torch.tensor([3.0, 2.0]))[..., None, None])
    new = SpectralConv2d.of(plain)
    torch.testing.assert_close(new.singular_values, torch.tensor([3.0, 2.0]))
    with torch.no_grad():
        new.singular_deltas.copy_(torch.tensor([1.0, -4.0]))
    moved = torch.diag(torch.tensor([4.0, -2.0]))
    torch.testing.assert_close(new.moved()[..., 0, 0], moved)


def test_the_bases_are_orthonormal_and_rebuild_the_weight(convolution: nn.Conv2d) -> None:
    """U and V have orthonormal columns, and U diag(s) V^T is the weight."""
    new = SpectralConv2d.of(convolution)
    identity = torch.eye(6)
    torch.testing.assert_close(new.left.T @ new.left, identity, atol=1e-6, rtol=0)
    torch.testing.assert_close(new.right @ new.right.T, identity, atol=1e-6, rtol=0)
    rebuilt = (new.left * new.singular_values) @ new.right
    torch.testing.assert_close(rebuilt.view_as(convolution.weight), convolution.weight)


def test_doubled_singular_values_double_the_response(convolution: nn.Conv2d) -> None:
    """The bias stays as it is."""
    new = SpectralConv2d.of(convolution)
    pixels = torch.randn(1, 3, 8, 8)
    bias = convolution.bias[:, None, None]
    with torch.no_grad():
        new.singular_deltas.copy_(new.singular_values)
    torch.testing.assert_close(new(pixels) - bias, 2 * (convolution(pixels) - bias))


def test_a_merge_gives_a_plain_convolution() -> None:
    """Merged equals unmerged, with the base's keys and classes."""
    sam = load_sam("tiny")
    keys = list(sam.state_dict())
    add_spectral(sam)
    with torch.no_grad():
        for one in match(sam, ["*"], SpectralConv2d).values():
            one.singular_deltas.normal_()
        pixels = torch.rand(1, 3, 64, 64)
        adapted = sam.image_encoder(pixels)[0]
        merged = merge(sam).image_encoder(pixels)[0]
    torch.testing.assert_close(merged, adapted, rtol=1e-5, atol=1e-5)
    assert list(sam.state_dict()) == keys
    assert type(sam.image_encoder.neck[2]) is nn.Conv2d


def test_the_merged_convolution_keeps_every_setting(convolution: nn.Conv2d) -> None:
    """Stride, padding and bias are those of the base."""
    merged = SpectralConv2d.of(convolution).merged()
    assert repr(merged) == repr(convolution)
    pixels = torch.randn(2, 3, 9, 9)
    assert torch.equal(merged(pixels), convolution(pixels))


def test_training_leaves_the_bases_alone() -> None:
    """U and V do not move while the values train."""
    sam = load_sam("tiny")
    add_spectral(sam)
    module = sam.image_encoder.neck[2]
    left, right = module.left.clone(), module.right.clone()
    optimizer = torch.optim.SGD([module.singular_deltas], lr=1.0)
    sam.image_encoder(torch.rand(1, 3, 64, 64))[0].square().sum().backward()
    optimizer.step()
    assert module.singular_deltas.abs().sum() > 0
    assert torch.equal(module.left, left)
    assert torch.equal(module.right, right)


def test_the_file_holds_the_deltas_only() -> None:
    """U and V are computed again from the weights, so they are in no state dict."""
    sam = load_sam("tiny")
    assert add_spectral(sam).added == tuple(
        f"image_encoder.neck.{i}.singular_deltas" for i in (0, 2)
    )


def test_deltas_carry_over_to_a_base_that_is_loaded_later() -> None:
    """Bases are computed anew when other weights are loaded into the model."""

    def tuned(seed: int) -> tuple[Sam, dict[str, Tensor]]:
        sam = load_sam("tiny")
        torch.manual_seed(seed)
        for parameter in sam.image_encoder.neck.parameters():
            nn.init.normal_(parameter)
        return sam, copy.deepcopy(sam.state_dict())

    first, state = tuned(1)
    second, _ = tuned(2)
    for sam in (first, second):
        add_spectral(sam)
    deltas = {
        name: torch.randn_like(one)
        for name, one in first.state_dict().items()
        if "singular" in name
    }
    first.load_state_dict(deltas, strict=False)
    second.load_state_dict(state | deltas)
    for i in (0, 2):
        expected = first.image_encoder.neck[i].moved()
        torch.testing.assert_close(second.image_encoder.neck[i].moved(), expected)


def test_the_patch_embedding_can_be_taken_apart_too(vit: Sam) -> None:
    """As the published code does: min(32, 768) more values on the small ViT."""
    add_spectral(vit, (*NECK, "image_encoder.patch_embed.proj"))
    assert trained_values(vit) == 32 + 32 + 256


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("image_encoder.neck.9", "matches no Conv2d module"),
        ("image_encoder.stages.*.conv", "is a grouped convolution"),
    ],
)
def test_patterns_that_do_not_fit_are_refused(pattern: str, message: str) -> None:
    """The model is as it was."""
    sam = load_sam("tiny")
    with pytest.raises(InjectionError, match=message):
        add_spectral(sam, (pattern,))
    assert injections(sam) == ()


def test_a_second_time_is_refused() -> None:
    """The place is named."""
    sam = load_sam("tiny")
    add_spectral(sam)
    with pytest.raises(InjectionError, match=r"neck\.0' holds a SpectralConv2d already"):
        add_spectral(sam)
