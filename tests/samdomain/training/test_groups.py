from torch import nn

from samdomain.training.groups import decay_groups


def test_matrices_decay_and_vectors_do_not() -> None:
    """What is frozen is in no group, and no group is empty."""
    network = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 1, bias=False))
    network[0].requires_grad_(False)
    matrices, others = decay_groups(network.parameters())
    assert matrices == {"params": [network[2].weight]}
    assert others == {"params": [network[1].weight, network[1].bias], "weight_decay": 0.0}
    assert decay_groups(network[0].parameters()) == []
