import math

import torch

from samdomain.prompt_tokens.attention import LearnedKeys, gated_attention


def test_learned_keys_have_a_softmax_of_their_own() -> None:
    """By hand: logits 0 and ln 3 give weights 1/4 and 3/4, whatever the frozen keys are."""
    queries = torch.ones(1, 1, 1, 1)
    keys = torch.tensor([[[0.0], [math.log(3)]]])
    values = torch.tensor([[[4.0], [8.0]]])
    out = gated_attention(queries, keys, values, torch.tensor([math.atanh(0.5)]))
    torch.testing.assert_close(out, torch.full((1, 1, 1, 1), 0.5 * (1 + 6)))


def test_each_head_has_its_gate() -> None:
    """A head at gate 0 is silent beside one that is open."""
    learned = LearnedKeys(heads=2, count=3, key_dim=4, value_dim=5)
    queries = torch.randn(1, 2, 6, 4)
    assert learned(queries).abs().sum() == 0
    with torch.no_grad():
        learned.gate[1] = 1.0
    out = learned(queries)
    assert out.shape == (1, 2, 6, 5)
    assert out[:, 0].abs().sum() == 0
    assert out[:, 1].abs().sum() > 0


def test_the_first_gradient_reaches_the_gate() -> None:
    """At gate 0 the keys and values wait, and the gate does not."""
    learned = LearnedKeys(heads=1, count=2, key_dim=3, value_dim=3)
    learned(torch.randn(1, 1, 2, 3)).sum().backward()
    assert learned.gate.grad.abs().sum() > 0
    assert learned.values.grad.abs().sum() == 0
