import pytest
import torch
from torch import nn

monai = pytest.importorskip("monai")

from ignite.engine import Engine  # noqa: E402 - after the skip

from samdomain.training.schedule import Cosine  # noqa: E402
from samdomain_med.workflow.optimisation import CosineRate, adamw  # noqa: E402


def rates(epochs: int, length: int, gathered: int, begun: int = 0) -> list[float]:
    """Return the rate of each iteration of a training."""
    optimizer = adamw(nn.Linear(2, 1), lr=0.5)
    seen: list[float] = []
    engine = Engine(lambda engine, batch: seen.append(optimizer.param_groups[0]["lr"]))
    engine.accumulation_steps = gathered
    CosineRate(optimizer, warmup=0.2).attach(engine)
    if begun:
        done = {"iteration": begun * length, "epoch_length": length, "max_epochs": epochs}
        engine.load_state_dict(done)
    engine.run(list(range(length)), max_epochs=epochs)
    return seen


def test_the_rate_goes_as_in_fit() -> None:
    """Each step has the share of the schedule at its place."""
    wanted = [0.5 * Cosine(0.2)(step, 10) for step in range(10)]
    assert rates(epochs=2, length=5, gathered=1) == pytest.approx(wanted)


def test_iterations_that_gather_share_a_step() -> None:
    """Five iterations by twos are three steps an epoch, the last of one iteration."""
    wanted = [0.5 * Cosine(0.2)(step, 6) for step in (0, 0, 1, 1, 2, 3, 3, 4, 4, 5)]
    assert rates(epochs=2, length=5, gathered=2) == pytest.approx(wanted)


def test_a_resumed_training_goes_on_with_its_rate() -> None:
    """The rate depends on where the trainer is, and on nothing that would be forgotten."""
    whole = rates(epochs=3, length=4, gathered=1)
    assert rates(epochs=3, length=4, gathered=1, begun=2) == pytest.approx(whole[8:])


def test_only_what_trains_is_optimised_and_only_matrices_decay() -> None:
    """A frozen parameter is in no group; a bias has no decay."""
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    network[0].requires_grad_(False)
    matrices, others = adamw(network, lr=0.1, weight_decay=0.3).param_groups
    assert (len(matrices["params"]), matrices["weight_decay"]) == (1, 0.3)
    assert (len(others["params"]), others["weight_decay"]) == (1, 0.0)
    assert torch.equal(matrices["params"][0], network[1].weight)


def test_gradients_are_clipped_before_a_step() -> None:
    """To the norm of all together; short ones stay as they are."""
    network = nn.Linear(2, 1, bias=False)
    optimizer = adamw(network, lr=0.1, clip=1.0)
    for given, wanted in (([3.0, 4.0], [0.6, 0.8]), ([0.3, 0.4], [0.3, 0.4])):
        network.weight.grad = torch.tensor([given])
        optimizer.step()
        torch.testing.assert_close(network.weight.grad, torch.tensor([wanted]))
