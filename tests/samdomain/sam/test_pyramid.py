import pytest
import torch

from samdomain.backbones.sam_vit import SamViTShape, build_sam_vit
from samdomain.errors import InputError
from samdomain.sam import Embedding, Frame, Sam, SamSpec, encode, pyramid


def embedding(side: int, **levels: torch.Tensor) -> Embedding:
    """An embedding with the given levels, named as s8 for stride 8."""
    maps = {int(name[1:]): level for name, level in levels.items()}
    return Embedding(torch.zeros(1, 256, 2, 2), maps, Frame(((side, side),), side))


def grid(side: int) -> torch.Tensor:
    """Count 0, 1, 2, ... over a map."""
    return torch.arange(side * side, dtype=torch.float32).reshape(1, 1, side, side)


def test_a_level_of_the_stride_is_returned_itself() -> None:
    """No copy is made where the encoder gives the stride."""
    level = grid(4)
    assert pyramid(embedding(16, s4=level), [4])[4] is level


def test_coarser_maps_are_averages() -> None:
    """A cell of a coarser map is the mean of the cells that it covers."""
    found = pyramid(embedding(16, s4=grid(4)), [8, 16])
    assert found[8].tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert found[16].tolist() == [[[[7.5]]]]


def test_the_nearest_finer_level_is_averaged() -> None:
    """Of two finer levels the coarser one is used."""
    found = pyramid(embedding(16, s2=torch.zeros(1, 1, 8, 8), s4=torch.ones(1, 1, 4, 4)), [8])
    assert found[8].unique().tolist() == [1.0]


def test_a_finer_level_goes_before_a_coarser_one() -> None:
    """Averaging is preferred to upsampling."""
    found = pyramid(embedding(32, s4=torch.ones(1, 1, 8, 8), s16=torch.zeros(1, 1, 2, 2)), [8])
    assert found[8].unique().tolist() == [1.0]


def test_finer_maps_are_bilinear() -> None:
    """Without a finer level the nearest coarser one is interpolated between cell centres."""
    level = torch.tensor([[[[0.0, 4.0], [0.0, 4.0]]]])
    found = pyramid(embedding(16, s8=level, s16=torch.full((1, 1, 1, 1), 9.0)), [4])
    assert found[4].tolist() == [[[[0.0, 1.0, 3.0, 4.0]] * 4]]


def test_strides_between_levels_average_what_they_touch() -> None:
    """Three cells become two: each averages the two that it touches."""
    found = pyramid(embedding(24, s8=grid(3)), [12])
    assert found[12].tolist() == [[[[2.0, 3.0], [5.0, 6.0]]]]


def test_strides_come_in_the_order_asked() -> None:
    """The result follows the caller's order."""
    assert list(pyramid(embedding(16, s4=grid(4)), (16, 4, 8))) == [16, 4, 8]


def test_gradients_pass_through() -> None:
    """Each cell gets its share of the gradient of a mean."""
    level = grid(4).requires_grad_()
    pyramid(embedding(16, s4=level), [8])[8].sum().backward()
    assert level.grad.unique().tolist() == [0.25]


@pytest.mark.parametrize("stride", [0, -4, 3, 32])
def test_strides_without_a_whole_map_are_refused(stride: int) -> None:
    """The error names the stride and the side of the input."""
    with pytest.raises(InputError, match=rf"stride {stride}, but .* 16 pixels"):
        pyramid(embedding(16, s4=grid(4)), [stride])


def test_an_embedding_without_levels_is_refused() -> None:
    """A backbone that gives no maps cannot feed a pyramid."""
    with pytest.raises(InputError, match="no levels"):
        pyramid(embedding(16), [4])


@pytest.mark.parametrize("kind", ["tiny", "vit"])
def test_every_backbone_gives_every_stride(tiny: Sam, kind: str) -> None:
    """Maps have the input's side over the stride, whatever levels the encoder has."""
    spec = SamSpec(name="small_vit", input_size=64, embedding_stride=16, mask_size=16)
    shape = SamViTShape(dim=32, depth=1, heads=2, global_blocks=(0,), native_size=64)
    sam = tiny if kind == "tiny" else build_sam_vit(spec, shape, mlp_dim=64)
    with torch.no_grad():
        found = pyramid(encode(sam, torch.rand(2, 3, 64, 64) * 255), [1, 2, 4, 8, 16, 32, 64])
    assert {s: m.shape[-2:] for s, m in found.items()} == {
        s: (64 // s, 64 // s) for s in (1, 2, 4, 8, 16, 32, 64)
    }
