import json

import pytest
import torch

from samdomain import trainable_parameters
from samdomain.errors import InputError
from samdomain.injection import injections
from samdomain.lora import LoRA
from samdomain.recipes import Tuning
from samdomain.sam import Sam


def names(sam: Sam) -> set[str]:
    return set(trainable_parameters(sam).names)


def test_only_what_is_named_trains(sam: Sam) -> None:
    """Low-rank updates and the null embedding train; the decoder that holds them does not."""
    records = Tuning((LoRA(("decoder.q",)),), ("prompt_encoder.null",))(sam)
    assert names(sam) == set(records[0].added) | {"prompt_encoder.no_mask_embed.weight"}


def test_a_second_tuning_goes_on(sam: Sam) -> None:
    """What it shares with the first keeps its values and trains; the rest stays, frozen."""
    encoder, decoder = LoRA(), LoRA(("decoder.q",))
    first = Tuning((encoder, decoder))(sam)
    with torch.no_grad():
        for parameter in sam.parameters():
            parameter.add_(1)
    before = {key: one.clone() for key, one in sam.state_dict().items()}
    Tuning((decoder,))(sam)
    assert names(sam) == set(first[1].added)
    assert len(injections(sam)) == 2
    assert all(torch.equal(one, before[key]) for key, one in sam.state_dict().items())


def test_taught_prompts_are_taken(sam: Sam) -> None:
    """The spec grows by the kinds that are taught, and forgets none."""
    sam.spec = type(sam.spec).from_json(sam.spec.to_json() | {"prompts": ["box"]})
    Tuning(parts=("decoder",), prompts=("point",))(sam)
    assert sam.spec.prompts == {"box", "point"}


def test_values_survive_json() -> None:
    """Injections come back as what they are."""
    tuning = Tuning((LoRA(rank=2),), ("decoder",), ("mask",))
    assert Tuning.from_json(json.loads(json.dumps(tuning.to_json()))) == tuning


def test_a_tuning_of_nothing_is_refused() -> None:
    """So is a kind of prompt that no SAM has."""
    with pytest.raises(InputError, match="needs something that trains"):
        Tuning()
    with pytest.raises(InputError, match=r"\['text'\] are unknown"):
        Tuning(parts=("decoder",), prompts=("text",))
