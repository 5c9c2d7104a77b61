import torch
from torch import nn

from samdomain import load_sam
from samdomain.sam.stepwise import Features, Step, StepwiseEncoder, apply, keep


class Doubling(StepwiseEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.linear.weight, 2)

    @property
    def level_channels(self) -> dict[int, int]:
        return {4: 1}

    def steps(self) -> list[Step]:
        return [apply(self.linear), keep(4, lambda x: x), apply(self.linear)]


def test_an_encoder_is_its_steps_in_order() -> None:
    """Each step takes what the one before left; kept maps come out by stride."""
    main, levels = Doubling()(torch.ones(1, 1, 2, 2))
    assert main.detach().unique().tolist() == [4]
    assert {stride: x.detach().unique().tolist() for stride, x in levels.items()} == {4: [2]}


def test_the_steps_own_every_parameter_of_the_encoder() -> None:
    """What no step owns could train unseen."""
    encoder = load_sam("tiny").image_encoder
    assert isinstance(encoder, StepwiseEncoder)
    owned = {id(one) for step in encoder.steps() for one in step.parameters()}
    assert owned == {id(one) for one in encoder.parameters()}


def test_a_step_tells_its_buffers_too() -> None:
    """Running statistics decide the result as weights do."""
    norm = nn.BatchNorm2d(2)
    assert len(list(apply(norm).tensors())) == 5


def test_running_the_steps_from_the_middle_equals_running_them_all() -> None:
    """A prefix and its rest give the encoder's own result."""
    sam = load_sam("tiny")
    assert isinstance(sam.image_encoder, StepwiseEncoder)
    pixels = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    steps = sam.image_encoder.steps()
    for cut in (1, 4, len(steps)):
        features: Features = (pixels, {})
        for step in steps[:cut]:
            features = step.run(features)
        for step in steps[cut:]:
            features = step.run(features)
        assert torch.equal(features[0], sam.image_encoder(pixels)[0])
