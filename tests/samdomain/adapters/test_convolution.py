import copy
import pickle

import pytest
import torch

from samdomain.adapters import ConvAdapter
from samdomain.errors import InputError


def test_each_map_gets_a_quarter_of_its_channels() -> None:
    """SAM-CD's four maps: 640, 640, 320 and 160 channels become 160, 160, 80 and 40."""
    adapter = ConvAdapter({32: 640, 16: 640, 8: 320, 4: 160})
    assert adapter.channels == {32: 160, 16: 160, 8: 80, 4: 40}
    weights = sum(one.numel() for n, one in adapter.named_parameters() if n.endswith("0.weight"))
    assert weights == 640 * 160 * 2 + 320 * 80 + 160 * 40


def test_a_map_is_mixed_normalised_and_cut_at_zero() -> None:
    """By hand: 2 * x and -2 * x behind a normalisation with mean 2 and variance 4."""
    adapter = ConvAdapter({4: 2}, ratio=1.0).eval()
    convolution, norm, _ = adapter.maps["4"]
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[2.0, 0], [-2.0, 0]])[..., None, None])
        norm.running_mean.fill_(2)
        norm.running_var.fill_(4 - norm.eps)
        pyramid = {4: torch.full((1, 2, 3, 5), 3.0), 8: torch.zeros(1, 1, 1, 1)}
        narrow = adapter(pyramid)
    assert list(narrow) == [4]
    torch.testing.assert_close(narrow[4][0, :, 1, 2], torch.tensor([2.0, 0]))


def test_it_learns_in_20_steps() -> None:
    """A toy regression on two maps gets nearer."""
    pyramid = {4: torch.randn(2, 8, 8, 8), 8: torch.randn(2, 8, 4, 4)}
    adapter = ConvAdapter({4: 8, 8: 8})
    optimizer = torch.optim.Adam(adapter.parameters(), lr=0.05)
    losses: list[float] = []
    for _ in range(20):
        loss = sum((one - 1).square().mean() for one in adapter(pyramid).values())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]


@pytest.mark.usefixtures("unchecked")
def test_it_is_carried_and_compiled_and_runs_in_half_precision() -> None:
    """Copies and pickles give the same, so does a compiled one; bf16 is near."""
    pyramid = {4: torch.randn(2, 8, 8, 8), 8: torch.randn(2, 8, 4, 4)}
    adapter = ConvAdapter({4: 8, 8: 8}).eval()
    expected = adapter(pyramid)
    compiled = torch.compile(adapter, backend="aot_eager", fullgraph=True)
    for other in (copy.deepcopy(adapter), pickle.loads(pickle.dumps(adapter)), compiled):
        for stride, found in other(pyramid).items():
            torch.testing.assert_close(found, expected[stride])
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(adapter(pyramid)[4].float(), expected[4], rtol=0.1, atol=0.1)


def test_missing_maps_are_named() -> None:
    """A stride that was promised and not given is an error."""
    with pytest.raises(InputError, match=r"misses the maps at strides \[8\]"):
        ConvAdapter({4: 4, 8: 4})({4: torch.zeros(1, 4, 2, 2)})


def test_maps_without_channels_are_refused() -> None:
    """A ratio that leaves a map no channel is an error."""
    with pytest.raises(InputError, match="leaves each a channel"):
        ConvAdapter({4: 2})
