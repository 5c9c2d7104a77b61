import copy
from collections.abc import Callable

import pytest
import torch

from samdomain import Prompts, decode, encode, merge
from samdomain.adapters import Houlsby
from samdomain.anchor import Distillation, Snapshot, guide, guides_of, standing
from samdomain.cache import LatestSam, SharedPrefix, cache_features
from samdomain.errors import InputError
from samdomain.injection import Injection
from samdomain.lora import LoRA
from samdomain.losses import cosine_loss, rehearsal_loss
from samdomain.policies import train_parts
from samdomain.sam import Sam
from samdomain.testing import move_trained, tiny_sam

BOX = Prompts(boxes=torch.tensor([[4.0, 4, 40, 40]]))


def answer(sam: Sam) -> torch.Tensor:
    image = torch.rand((3, 64, 64), generator=torch.Generator().manual_seed(0)) * 255
    return decode(sam, encode(sam, image), BOX).low_res


def adapted(*parts: str, injection: Injection | None = None) -> Sam:
    """A tiny SAM that is ready for training."""
    sam = tiny_sam()
    torch.manual_seed(0)
    (injection or LoRA())(sam)
    train_parts(sam, parts)
    return sam


@pytest.mark.parametrize("injection", [LoRA(), LoRA(dora=True), Houlsby()], ids=str)
@pytest.mark.parametrize("parts", [(), ("decoder", "encoder.norms")], ids=["", "parts"])
def test_the_anchor_is_the_source(injection: Injection, parts: tuple[str, ...]) -> None:
    """Whatever is injected and trains, the anchor answers bit by bit as before training."""
    sam = adapted(*parts, injection=injection)
    before = answer(sam.eval())
    guides = guide(sam)
    move_trained(sam.train())
    assert not torch.equal(answer(sam), before)
    with guides.as_anchor(sam):
        assert torch.equal(answer(sam), before)


def test_lora_leaves_the_base_bit_by_bit() -> None:
    """Where LoRA alone is in the model, the anchor is the plain base."""
    sam = adapted()
    guides = guide(sam)
    move_trained(sam)
    with guides.as_anchor(sam):
        assert torch.equal(answer(sam), answer(tiny_sam()))


def test_the_frozen_part_is_shared() -> None:
    """A snapshot holds what trains, and nothing of the base beside it."""
    sam = adapted("decoder.norms")
    guides = guide(sam, 0.5)
    trained = {name for name, one in sam.named_parameters() if one.requires_grad}
    assert trained == set(guides.anchor.values) == set(guides.state_dict())
    whole = sum(one.numel() for one in sam.parameters())
    assert sum(one.numel() for one in guides.anchor.values.values()) < 0.3 * whole


def test_errors_and_nesting_leave_the_model_as_it_was() -> None:
    """Blocks within blocks, left by an exception, restore values, storage, modes and gradients."""
    sam = adapted("encoder.norms")
    guides = guide(sam, 0.5)
    move_trained(sam.train())
    guides.follow(sam)
    move_trained(sam, seed=2)
    state = copy.deepcopy(sam.state_dict())
    places = [one.data_ptr() for one in sam.state_dict().values()]
    modes = [module.training for module in sam.modules()]

    def nested() -> None:
        with guides.as_teacher(sam):
            taught = answer(sam)
            with guides.as_anchor(sam), guides.as_anchor(sam):
                assert not torch.equal(answer(sam), taught)
            assert torch.equal(answer(sam), taught)
            raise KeyError

    with pytest.raises(KeyError):
        nested()
    assert all(torch.equal(sam.state_dict()[key], one) for key, one in state.items())
    assert [one.data_ptr() for one in sam.state_dict().values()] == places
    assert [module.training for module in sam.modules()] == modes
    assert torch.is_grad_enabled()


def test_a_graph_outlives_a_block() -> None:
    """Gradients of a pass before the block are those without the block."""
    gradients: list[list[torch.Tensor]] = []
    for visited in (False, True):
        sam = adapted()
        guides = guide(sam)
        move_trained(sam)
        loss = answer(sam).square().sum()
        if visited:
            with guides.as_anchor(sam):
                assert not answer(sam).requires_grad
        loss.backward()
        gradients.append([one.grad for one in sam.parameters() if one.grad is not None])
    assert gradients[0]
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


@pytest.mark.parametrize("parts", [(), ("decoder",)], ids=["", "decoder"])
def test_autocast_mixes_no_values_up(parts: tuple[str, ...]) -> None:
    """Within one step in bf16, which keeps what it has cast, model and anchor stay apart."""
    sam = adapted(*parts).eval()
    guides = guide(sam)
    move_trained(sam)
    with torch.autocast("cpu", torch.bfloat16):
        alone = answer(sam)
    with torch.autocast("cpu", torch.bfloat16):
        with guides.as_anchor(sam):
            source = answer(sam)
        assert torch.equal(answer(sam), alone)
        with guides.as_anchor(sam):
            assert torch.equal(answer(sam), source)
    assert not torch.equal(source, alone)


def test_the_anchor_never_changes() -> None:
    """Training steps and passes in training mode leave its values and its statistics alone."""
    sam = adapted("encoder.norms")
    guides = guide(sam, 0.5)
    before = copy.deepcopy(guides.anchor.values)
    assert any("running_mean" in key for key in before)
    optimizer = torch.optim.SGD([one for one in sam.parameters() if one.requires_grad], lr=0.1)
    sam.train()
    for _ in range(3):
        with guides.as_anchor(sam):
            answer(sam)
        answer(sam).square().mean().backward()
        optimizer.step()
        guides.follow(sam)
    assert all(torch.equal(guides.anchor.values[key], one) for key, one in before.items())


@pytest.mark.parametrize(("momentum", "expected"), [(0.25, 1.75), (0.0, 2.0), (1.0, 1.0)])
def test_a_teacher_follows_as_its_momentum_says(momentum: float, expected: float) -> None:
    """From 1 towards 2 it keeps the share of the momentum: 0 is the model, 1 stands still."""
    sam = adapted()
    for one in sam.parameters():
        one.data.fill_(1.0)
    guides = guide(sam, momentum)
    for one in sam.parameters():
        one.data.fill_(2.0)
    guides.follow(sam)
    with guides.as_teacher(sam):
        trained = [one for one in sam.parameters() if one.requires_grad]
        assert all(torch.all(one == expected) for one in trained)


def test_a_teacher_without_momentum_holds_nothing() -> None:
    """It shares the model's weights, so that it has no state and needs no memory."""
    sam = adapted()
    guides = guide(sam, 0.0)
    assert guides.teacher is None
    assert guides.state_dict() == {}
    move_trained(sam)
    with guides.as_teacher(sam):
        taught = answer(sam)
    assert torch.equal(taught, answer(sam))


def test_a_teacher_comes_back_from_its_state() -> None:
    """What a checkpoint holds makes the same teacher; that of another training is refused."""
    sam = adapted()
    guides = guide(sam, 0.9)
    move_trained(sam)
    guides.follow(sam)
    other = adapted()
    again = guide(other, 0.9)
    again.load_state_dict(guides.state_dict())
    other.load_state_dict(sam.state_dict())
    with guides.as_teacher(sam), again.as_teacher(other):
        assert torch.equal(answer(sam), answer(other))
    with pytest.raises(InputError, match="resume with the config"):
        again.load_state_dict({})


def test_the_first_call_decides_what_the_source_is() -> None:
    """A later stage with something else to train is held by the same anchor."""
    sam = adapted()
    before = answer(sam)
    guide(sam)
    move_trained(sam)
    train_parts(sam, ["decoder"])
    guides = guide(sam)
    move_trained(sam)
    with guides.as_anchor(sam):
        assert torch.equal(answer(sam), before)


def test_copies_and_views_have_the_guides(tmp_path: object) -> None:
    """They travel with copies of the model, and are found behind views of it."""
    sam = adapted()
    assert guides_of(sam) is None
    guides = guide(sam)
    assert guides_of(LatestSam(SharedPrefix(cache_features(sam, str(tmp_path))))) is guides
    other = guides_of(copy.deepcopy(sam))
    assert other is not None
    assert other is not guides


def test_a_merged_model_has_no_anchor_any_more() -> None:
    """The message says what happened."""
    sam = adapted()
    guides = guide(sam)
    merge(sam)
    with pytest.raises(InputError, match="merged"), guides.as_anchor(sam):
        pass


def test_a_momentum_is_a_share() -> None:
    """Above 1 it is refused."""
    with pytest.raises(InputError, match="allowed are 0"):
        guide(adapted(), 1.5)


def test_standing_restores_each_mode() -> None:
    """Modules that were in eval mode stay so, the others train on."""
    sam = adapted().train()
    modes = [module.training for module in sam.modules()]
    assert len(set(modes)) == 2
    with standing(sam):
        assert not any(module.training for module in sam.modules())
    assert [module.training for module in sam.modules()] == modes


def test_rehearsal_costs_nothing_at_first() -> None:
    """Held to the frozen source, a model that has not moved costs 0; one that moved costs more."""
    sam = adapted()
    guides = guide(sam)

    def source(prompts: Prompts) -> torch.Tensor:
        with guides.as_anchor(sam):
            image = torch.rand((3, 64, 64), generator=torch.Generator().manual_seed(0)) * 255
            return decode(sam, encode(sam, image), prompts).low_res

    rehearsal = Distillation(source, rehearsal_loss, weight=10.0)
    assert rehearsal(answer(sam), BOX) == 0
    move_trained(sam)
    moved = rehearsal(answer(sam), BOX)
    assert moved > 0
    moved.backward()


def test_any_callable_teaches() -> None:
    """A second teacher is asked without gradients; the weight is a factor."""
    teacher = torch.nn.Linear(4, 3)
    inputs, student = torch.rand(2, 4), torch.rand(2, 3, requires_grad=True)
    learned: Callable[..., torch.Tensor] = Distillation(teacher, cosine_loss, weight=2.0)
    cost = learned(student, inputs)
    torch.testing.assert_close(cost, 2 * cosine_loss(student, teacher(inputs)))
    cost.backward()
    assert teacher.weight.grad is None


def test_values_follow_the_model_to_its_precision() -> None:
    """After the model was cast, a snapshot is worn in the model's precision."""
    sam = adapted()
    snapshot = Snapshot.of(sam)
    sam.double()
    with snapshot.within(sam):
        assert all(one.dtype == torch.double for one in sam.parameters())
