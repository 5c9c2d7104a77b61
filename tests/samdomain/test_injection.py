import copy
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from samdomain import Prompts, decode, encode, load_sam
from samdomain.errors import InjectionError, MergeError
from samdomain.injection import (
    InjectedModule,
    Injection,
    adapted_state,
    fold,
    inject,
    injections,
    merge,
)
from samdomain.modules import match
from samdomain.sam import Sam


class ScaledLinear(InjectedModule, nn.Linear):
    """Scale a linear layer's outputs by one learned factor."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__(base.in_features, base.out_features, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) * self.gain

    def merged(self) -> nn.Linear:
        plain = nn.Linear(self.in_features, self.out_features)
        plain.weight = nn.Parameter(self.weight.detach() * self.gain)
        plain.bias = nn.Parameter(self.bias.detach() * self.gain)
        return plain


class Opaque(ScaledLinear):
    """Like the above, but no plain layer is said to equal it."""

    merged = InjectedModule.merged


@dataclass(frozen=True)
class Gains(Injection):
    kind: ClassVar[str] = "gains"
    pattern: str = "mask_decoder.transformer.layers.*.mlp.lin1"
    wrapper: type[ScaledLinear] = ScaledLinear

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        found = {n: m for n, m in sam.named_modules() if isinstance(m, nn.Linear)}
        return {n: self.wrapper(m) for n, m in found.items() if n.endswith(self.pattern[-4:])}


def low_res(sam: Sam) -> Tensor:
    pixels = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        embedding = encode(sam, pixels)
        return decode(sam, embedding, Prompts(boxes=torch.tensor([[4.0, 4, 40, 40]]))).low_res


def train_gains(sam: Sam) -> None:
    with torch.no_grad():
        for module in match(sam, ["*"], ScaledLinear).values():
            module.gain.mul_(1.5)


def test_an_injection_changes_no_output_and_trains_only_itself() -> None:
    """A fresh injection is silent, and freezes all but what it added."""
    sam = load_sam("tiny")
    before = low_res(sam)
    record = Gains()(sam)
    assert torch.equal(low_res(sam), before)
    trained = {name for name, one in sam.named_parameters() if one.requires_grad}
    assert trained == set(record.added)
    assert len(record.modules) == 2


def test_the_base_checkpoint_loads_before_and_after() -> None:
    """Every key of the base stays where it was."""
    state = load_sam("tiny").state_dict()
    sam = load_sam("tiny")
    record = Gains()(sam)
    result = sam.load_state_dict(state, strict=False)
    assert result.unexpected_keys == []
    assert set(result.missing_keys) == set(record.added)


def test_merging_folds_what_was_trained_into_plain_modules() -> None:
    """A merged model computes what the adapted one did, with the base's keys only."""
    sam = load_sam("tiny")
    keys = set(sam.state_dict())
    Gains()(sam)
    train_gains(sam)
    adapted = low_res(sam)
    torch.testing.assert_close(low_res(merge(sam)), adapted, rtol=1e-5, atol=1e-5)
    assert set(sam.state_dict()) == keys
    assert injections(sam) == ()


def test_a_merge_that_is_refused_leaves_the_model_as_it_was() -> None:
    """What cannot be folded is named, and nothing is half merged."""
    sam = load_sam("tiny")
    Gains(wrapper=Opaque)(sam)
    keys = set(sam.state_dict())
    with pytest.raises(MergeError, match=r"layers\.0\.mlp\.lin1.*depends on its input"):
        merge(sam)
    assert set(sam.state_dict()) == keys


def test_folding_keeps_what_cannot_be_folded() -> None:
    """`fold` returns the names that stay."""
    sam = load_sam("tiny")
    record = Gains(wrapper=Opaque)(sam)
    assert fold(sam) == record.modules


def test_injecting_twice_is_refused() -> None:
    """A module takes one injection."""
    sam = load_sam("tiny")
    Gains()(sam)
    with pytest.raises(InjectionError, match="holds a ScaledLinear already"):
        inject(sam, Gains())


def test_an_injection_that_matches_nothing_is_refused() -> None:
    """Silence would train nothing."""
    with pytest.raises(InjectionError, match="matches no module of 'tiny'"):
        Gains(pattern="none")(load_sam("tiny"))


def test_the_record_travels_with_copies_and_pickles() -> None:
    """A copy knows what was injected, and shares nothing with the original."""
    sam = load_sam("tiny")
    Gains()(sam)
    for copied in (copy.deepcopy(sam), pickle.loads(pickle.dumps(sam))):
        assert injections(copied) == injections(sam)
        train_gains(copied)
    assert all(one.gain.item() == 1 for one in match(sam, ["*"], ScaledLinear).values())


def test_the_adapted_state_holds_what_was_added_and_what_trains() -> None:
    """Norms that train come with their running statistics."""
    sam = load_sam("tiny")
    record = Gains()(sam)
    assert set(adapted_state(sam)) == set(record.added)
    name = next(n for n, m in sam.named_modules() if isinstance(m, nn.BatchNorm2d))
    sam.get_submodule(name).requires_grad_(True)
    added = set(adapted_state(sam)) - set(record.added)
    assert {key.removeprefix(f"{name}.") for key in added} == {
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }


def test_frozen_batch_norms_keep_their_statistics_in_training() -> None:
    """`train` leaves frozen batch normalisations in evaluation, and others not."""
    sam = load_sam("tiny").train()
    assert any(m.training for m in match(sam, ["*"], nn.BatchNorm2d).values())
    Gains()(sam)
    sam.train()
    assert not any(m.training for m in match(sam, ["*"], nn.BatchNorm2d).values())
    assert sam.mask_decoder.training


def test_an_injection_comes_back_from_json() -> None:
    """Lists become tuples again; unknown fields are named."""
    values = Gains(pattern="x.lin1").to_json()
    assert values["kind"] == "gains"
    assert Gains.from_json(values) == Gains(pattern="x.lin1")
    with pytest.raises(InjectionError, match="'gains' has no field depth"):
        Gains.from_json({"kind": "gains", "depth": 3})
