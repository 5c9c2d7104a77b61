import copy
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    IA3Config,
    LoHaConfig,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file, save_file
from torch import Tensor

from samdomain import add_lora, add_peft
from samdomain.errors import InjectionError, InputError
from samdomain.injection import Injection, injections
from samdomain.lora import ConvLoRA, LoRA
from samdomain.lora.peft_layout import peft_covers
from samdomain.lora.peft_reading import fill_from_peft, from_peft
from samdomain.lora.peft_tuner import PeftTuner
from samdomain.lora.peft_writing import config_json, to_peft
from samdomain.parts import LAYERS
from samdomain.sam import Sam
from samdomain.testing import move_trained
from samdomain.testing.injections import logits

APART = tuple(part for part in LAYERS if part not in {"encoder.qkv", "encoder.conv"})

SPECS: dict[str, tuple[LoRA, ...]] = {
    "q and v": (LoRA(),),
    "all three": (LoRA(("encoder.q", "encoder.k", "encoder.v"), rank=2, alpha=3),),
    "everything": (LoRA(APART, alpha=8),),
    "dora": (LoRA(APART, dora=True, alpha=6),),
    "two injections": (LoRA(rslora=True, rank=3), LoRA(("decoder.q", "decoder.v"), rank=2)),
}
WRITTEN: dict[str, LoraConfig] = {
    "patterns": LoraConfig(
        target_modules=["qkv", "q_proj"],
        r=4,
        lora_alpha=3,
        rank_pattern={"q_proj": 2},
        alpha_pattern={r"layers\.0\..*\.q_proj": 7},
    ),
    "rank stabilised dora": LoraConfig(
        target_modules=["qkv", "neck.2", "lin1"], use_dora=True, use_rslora=True
    ),
}


def infer(sam: Sam) -> Tensor:
    with torch.no_grad():
        return logits(sam)


def equal(found: Tensor, expected: Tensor) -> None:
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * scale)


def adapted(base: Sam, *specs: LoRA) -> Sam:
    sam = copy.deepcopy(base)
    for spec in specs:
        spec(sam)
    return move_trained(sam, 0.05)


@pytest.mark.parametrize("name", SPECS)
def test_peft_computes_what_we_wrote(base: Sam, name: str) -> None:
    """Peft loads our tensors and config into the plain base and gives our logits."""
    sam = adapted(base, *SPECS[name])
    tensors, config = to_peft(sam)
    other = copy.deepcopy(base)
    model = get_peft_model(other, LoraConfig(**config))
    result = set_peft_model_state_dict(model, tensors)
    assert result.unexpected_keys == []
    assert {key: one.shape for key, one in get_peft_model_state_dict(model).items()} == {
        key: one.shape for key, one in tensors.items()
    }
    equal(infer(other), infer(sam))


@pytest.mark.parametrize("name", WRITTEN)
def test_we_compute_what_peft_wrote(base: Sam, name: str, tmp_path: Path) -> None:
    """Files that peft saved for our models give peft's logits in our layers."""
    other = copy.deepcopy(base)
    model = get_peft_model(other, WRITTEN[name])
    move_trained(model, 0.05)
    model.eval().save_pretrained(tmp_path)
    sam = copy.deepcopy(base)
    from_peft(
        sam,
        load_file(tmp_path / "adapter_model.safetensors"),
        json.loads((tmp_path / "adapter_config.json").read_text()),
    )
    equal(infer(sam), infer(other))
    assert not torch.allclose(infer(sam), infer(base), atol=1e-3)


def test_peft_opens_our_files_from_disk(tiny: Sam, tmp_path: Path) -> None:
    """Config and tensors, saved as they are, make a folder that PeftModel opens."""
    sam = adapted(tiny, LoRA())
    tensors, config = to_peft(sam)
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    other = copy.deepcopy(tiny)
    PeftModel.from_pretrained(other, str(tmp_path))
    equal(infer(other), infer(sam))


@pytest.mark.parametrize("name", SPECS)
def test_our_files_fold_back_into_their_injections(base: Sam, name: str) -> None:
    """Blocks of q and v become the updates that they were, bit for bit."""
    sam = adapted(base, *SPECS[name])
    tensors, config = to_peft(sam)
    other = copy.deepcopy(base)
    for spec in SPECS[name]:
        spec(other)
    fill_from_peft(other, tensors, config)
    assert torch.equal(infer(other), infer(sam))


def test_our_files_open_without_their_injections(base: Sam) -> None:
    """Taken as fused layers, as peft takes them, they compute the same."""
    sam = adapted(base, *SPECS["two injections"])
    other = copy.deepcopy(base)
    records = from_peft(other, *to_peft(sam))
    assert [record.injection.rank for record in records] == [6, 2]
    equal(infer(other), infer(sam))


def test_blocks_have_twice_the_rank_and_the_same_scale(tiny: Sam) -> None:
    """Q and v at rank 4 and alpha 8 are one update at rank 8 and alpha 16."""
    sam = adapted(tiny, LoRA(rank=4, alpha=8))
    tensors, config = to_peft(sam)
    name = "base_model.model.image_encoder.stages.1.blocks.0.attn.qkv"
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    assert config["rank_pattern"] == config["alpha_pattern"] == {}
    assert tensors[f"{name}.lora_A.weight"].shape == (8, 16)
    up = tensors[f"{name}.lora_B.weight"]
    assert (up[:16, 4:] == 0).all()  # one head here: rows of q, then k, then v
    assert (up[16:32] == 0).all()
    assert (up[32:, :4] == 0).all()


@pytest.mark.slow
def test_embedded_weights_travel_both_ways(litemedsam: Sam) -> None:
    """LoRA of LiteMedSAM goes to peft and comes back."""
    sam = adapted(litemedsam, LoRA())
    tensors, config = to_peft(sam)
    other = copy.deepcopy(litemedsam)
    set_peft_model_state_dict(get_peft_model(other, LoraConfig(**config)), tensors)
    equal(infer(other), infer(sam))
    back = copy.deepcopy(litemedsam)
    from_peft(back, tensors, config)
    equal(infer(back), infer(sam))


def test_only_lora_goes_into_the_file(tiny: Sam) -> None:
    """Conv-LoRA and whatever else trains stay out, and the covered keys say so."""
    sam = copy.deepcopy(tiny)
    ConvLoRA(("encoder.mlp",))(sam)
    record = add_lora(sam, dora=True)
    assert peft_covers(sam) == set(record.added)
    tensors, _ = to_peft(sam)
    assert all(".attn.qkv.lora_" in key for key in tensors)


def test_a_model_without_lora_has_nothing_to_write(tiny: Sam) -> None:
    """An empty file would hide the mistake."""
    with pytest.raises(InjectionError, match="no LoRA to write"):
        to_peft(tiny)


def test_dora_in_some_layers_cannot_be_written(tiny: Sam) -> None:
    """One config of peft has DoRA in all layers or in none."""
    sam = adapted(tiny, LoRA(dora=True), LoRA(("decoder.q",)))
    with pytest.raises(InjectionError, match="in all layers or in none"):
        to_peft(sam)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "LOHA"}, "peft's 'LOHA'"),
        ({"init_lora_weights": "pissa"}, "changes the base's weights"),
        ({"modules_to_save": ["neck"]}, "modules_to_save"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"r": 5}, "states rank 5"),
    ],
)
def test_configs_that_mean_more_are_refused(
    tiny: Sam, changes: dict[str, Any], message: str
) -> None:
    """What our layers cannot compute is never silently left out, and the model stays."""
    tensors, config = to_peft(adapted(tiny, LoRA()))
    sam = copy.deepcopy(tiny)
    with pytest.raises(InjectionError, match=message):
        from_peft(sam, tensors, config | changes)
    assert injections(sam) == ()


@pytest.mark.parametrize("wrong", [None, True, -1.5, "(", ["x"], {"x": [1]}], ids=repr)
def test_a_tampered_config_is_refused_or_makes_no_odds(tiny: Sam, wrong: object) -> None:
    """Whatever value is replaced: the error is ours."""
    sam = adapted(tiny, LoRA(last=1))
    tensors, config = to_peft(sam)
    for field in config:
        with suppress(InputError):
            fill_from_peft(sam, tensors, config | {field: wrong})
    with pytest.raises(InputError):
        fill_from_peft(sam, tensors, config | {"rank_pattern": {"(": 1}})


def test_tensors_that_do_not_fit_are_refused(tiny: Sam, small_vit: Sam) -> None:
    """Another base, a lost half and a foreign tensor are told apart."""
    tensors, config = to_peft(adapted(tiny, LoRA()))
    first = min(tensors)
    with pytest.raises(InjectionError, match="another base"):
        from_peft(copy.deepcopy(small_vit), tensors, config)
    half = {key: one for key, one in tensors.items() if key != first.replace("_A", "_B")}
    with pytest.raises(InjectionError, match="not whole"):
        from_peft(copy.deepcopy(tiny), half, config)
    with pytest.raises(InjectionError, match=r"'neck\.weight' is no part of LoRA"):
        from_peft(copy.deepcopy(tiny), {**tensors, "neck.weight": torch.ones(1)}, config)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (LoRA(rank=2), "rank, parts or base differ"),
        (LoRA(alpha=8), "alpha or rank differ"),
        (LoRA(("encoder.q", "encoder.k")), "updates other rows"),
        (LoRA(last=1), "has no LoRA here"),
        (LoRA(("encoder.q", "encoder.v", "decoder.q")), "nothing for the injected layer"),
        (LoRA(dora=True), "agree on DoRA"),
    ],
)
def test_files_of_other_injections_are_refused(tiny: Sam, spec: LoRA, message: str) -> None:
    """A file only fills the injections that it was written from."""
    tensors, config = to_peft(adapted(tiny, LoRA()))
    sam = copy.deepcopy(tiny)
    spec(sam)
    if message.startswith("rank"):
        config |= {"lora_alpha": 8}
    with pytest.raises(InjectionError, match=message):
        fill_from_peft(sam, tensors, config)


@pytest.mark.contract
@pytest.mark.parametrize(
    "config",
    [
        LoHaConfig(target_modules=["qkv"], r=4),
        IA3Config(target_modules=["q_proj"], feedforward_modules=[]),
        LoraConfig(target_modules=["qkv", "neck.0"]),
    ],
    ids=lambda config: config.peft_type.value,
)
def test_tuners_of_peft_keep_to_the_contract(
    sam: Sam, config: PeftConfig, check_contract: Callable[[Sam, Injection], None]
) -> None:
    """Other tuners are silent, carried and merged as our injections are."""
    check_contract(sam, PeftTuner(config_json(config)))


def test_a_tuner_is_stated_in_json(tiny: Sam) -> None:
    """The record holds what makes the same injection again."""
    sam = copy.deepcopy(tiny)
    record = add_peft(sam, LoHaConfig(target_modules=["qkv"], r=2))
    again = PeftTuner.from_json(json.loads(json.dumps(record.injection.to_json())))
    assert again(copy.deepcopy(tiny)).added == record.added


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (VeraConfig(target_modules=["lin1"]), "shared state"),
        (PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"), "prompt learning"),
        (LoraConfig(target_modules=["nope"]), "not found"),
        (LoraConfig(target_modules=["qkv"], modules_to_save=["neck"]), "modules_to_save"),
        (LoraConfig(target_modules=["qkv"], bias="all"), "bias='all'"),
        ({"peft_type": "NOPE"}, "NOPE"),
    ],
)
def test_tuners_that_do_not_fit_are_refused(tiny: Sam, config: Any, message: str) -> None:
    """What peft refuses is one clear error, and the model stays as it was."""
    sam = copy.deepcopy(tiny)
    with pytest.raises(InjectionError, match=message):
        add_peft(sam, config)
    assert sam.state_dict().keys() == tiny.state_dict().keys()
    assert all(one.requires_grad for one in sam.parameters())
