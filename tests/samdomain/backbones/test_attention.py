import pytest
import torch
from segment_anything.modeling.image_encoder import Attention as ViTAttention
from timm.models.tiny_vit import Attention as TinyViTAttention
from torch import nn

from samdomain.backbones.attention import Rows, qkv_rows
from samdomain.errors import InjectionError


def test_rows_of_a_vit_are_thirds() -> None:
    """Queries first, of all heads."""
    rows = qkv_rows(ViTAttention(8, num_heads=2))
    values = torch.arange(24)
    assert rows["q"].of(values, -1).flatten().tolist() == list(range(8))
    assert rows["v"].of(values, -1).flatten().tolist() == list(range(16, 24))


def test_rows_of_a_tiny_vit_lie_in_each_head() -> None:
    """Each head has its queries, keys and values side by side."""
    rows = qkv_rows(TinyViTAttention(4, key_dim=2, num_heads=2, attn_ratio=1))
    values = torch.arange(12)
    assert rows["q"].of(values, -1).flatten().tolist() == [0, 1, 6, 7]
    assert rows["k"].of(values, -1).flatten().tolist() == [2, 3, 8, 9]
    assert rows["v"].of(values, -1).flatten().tolist() == [4, 5, 10, 11]


def test_rows_add_in_place_along_any_axis() -> None:
    """Only the named rows of a weight move."""
    rows = Rows(2, 3, 1, 2)
    weight = torch.zeros(6, 2)
    rows.add(weight, torch.tensor([[1.0, 2], [3, 4]]), -2)
    assert weight.tolist() == [[0, 0], [1, 2], [0, 0], [0, 0], [3, 4], [0, 0]]
    assert rows.count == 2


@pytest.mark.parametrize("dim", [-1, -3])
def test_spread_changes_are_those_that_are_added_in_place(dim: int) -> None:
    """Zeros stand where no channel is named, of linear layers as of convolutions."""
    shape = [2, 3, 4, 5]
    rows = Rows(2, 3, 1, 2)
    shape[dim] = 6
    values = torch.randn(shape)
    shape[dim] = 2
    change = torch.randn(shape)
    spread = values + rows.spread(change, dim)
    rows.add(values, change, dim)
    assert torch.equal(spread, values)


def test_another_attention_is_refused() -> None:
    """Rows are never guessed."""
    with pytest.raises(InjectionError, match="MultiheadAttention is not known"):
        qkv_rows(nn.MultiheadAttention(4, 2))
