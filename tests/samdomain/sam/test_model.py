import pytest
from torch import nn

from samdomain import load_sam
from samdomain.modules import freeze


def test_frozen_normalisations_stay_in_evaluation() -> None:
    """Their statistics belong to the weights; those that train run in training."""
    sam = load_sam("tiny")
    freeze(sam)
    freeze(sam, ["image_encoder.stages.1.*"], frozen=False)
    sam.train()
    norms = {n: one for n, one in sam.named_modules() if isinstance(one, nn.BatchNorm2d)}
    assert {n for n, one in norms.items() if one.training} == {n for n in norms if "stages.1." in n}


@pytest.mark.parametrize("mode", [True, False])
def test_normalisations_without_parameters_switch_with_the_model(mode: bool) -> None:
    """There is nothing in them that could be frozen."""
    sam = load_sam("tiny")
    sam.image_encoder.neck.append(nn.BatchNorm2d(256, affine=False))
    freeze(sam)
    sam.train(mode)
    assert sam.image_encoder.neck[-1].training is mode


def test_frozen_normalisations_of_several_processes_stay_in_evaluation() -> None:
    """Distributed training turns them into another class."""
    sam = load_sam("tiny")
    freeze(sam)
    sam = nn.SyncBatchNorm.convert_sync_batchnorm(sam).train()
    norms = [one for one in sam.modules() if isinstance(one, nn.SyncBatchNorm)]
    assert norms
    assert not any(one.training for one in norms)
