import logging
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from samdomain import encode, load_sam
from samdomain.acceleration import FastSteps, steps
from samdomain.adapters import AdaptFormer, Houlsby
from samdomain.cache import cache_features
from samdomain.injection import Injection
from samdomain.lora import ConvLoRA, LoRA
from samdomain.sam import Sam
from samdomain.sam.stepwise import Features, Step

pytest.importorskip("openvino")


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the smallest encoder count as large."""
    monkeypatch.setattr(steps, "_WORTH", 0)


def in_torch(own: Sequence[Step], pixels: torch.Tensor) -> Features:
    """What the steps give, as they are."""
    features: Features = (pixels, {})
    with torch.no_grad():
        for step in own:
            features = step.run(features)
    return features


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("cut", [3, None])
def test_features_are_those_of_torch(tiny: Sam, cut: int | None) -> None:
    """The map behind the steps and the encoder's own maps agree, for a beginning and the whole."""
    own = tiny.image_encoder.steps()[:cut]
    pixels = torch.randn(1, 3, tiny.spec.input_size, tiny.spec.input_size)
    expected = in_torch(own, pixels)
    current, levels = FastSteps(own, pixels)(pixels)
    torch.testing.assert_close(current, expected[0], atol=1e-4, rtol=1e-4)
    assert levels.keys() == expected[1].keys()
    for stride, level in levels.items():
        torch.testing.assert_close(level, expected[1][stride], atol=1e-4, rtol=1e-4)


def test_small_encoders_run_as_they_are(tiny: Sam) -> None:
    """Nothing is converted."""
    pixels = torch.randn(1, 3, tiny.spec.input_size, tiny.spec.input_size)
    with patch.object(FastSteps, "_compiled") as compiled:
        FastSteps(tiny.image_encoder.steps(), pixels)(pixels)
    compiled.assert_not_called()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "injection",
    [
        LoRA(("encoder.q", "encoder.v", "encoder.proj", "encoder.neck")),
        ConvLoRA(("encoder.q", "encoder.mlp")),
        LoRA(("encoder.k", "encoder.neck"), dora=True),
        Houlsby(),
        AdaptFormer(width=4),
    ],
    ids=["lora", "conv_lora", "dora", "houlsby", "adaptformer"],
)
def test_what_an_earlier_stage_put_in_is_converted(
    injection: Injection, caplog: pytest.LogCaptureFixture
) -> None:
    """A second stage freezes what the first one trained: also that runs fast, and alike."""
    sam = load_sam("tiny")
    record = injection(sam)
    with torch.no_grad():
        for name in record.added:
            sam.get_parameter(name).add_(0.05)
    pixels = torch.randn(1, 3, sam.spec.input_size, sam.spec.input_size)
    own = sam.eval().image_encoder.steps()
    expected, _ = in_torch(own, pixels)
    current, _ = FastSteps(own, pixels)(pixels)
    torch.testing.assert_close(current, expected, atol=1e-3, rtol=1e-3)
    assert not caplog.records


@pytest.mark.usefixtures("fast")
def test_what_cannot_be_converted_runs_in_torch(
    tiny: Sam, caplog: pytest.LogCaptureFixture
) -> None:
    """A training goes on, and says why it is slower."""
    pixels = torch.randn(1, 3, tiny.spec.input_size, tiny.spec.input_size)
    own = tiny.image_encoder.steps()
    with patch("openvino.convert_model", side_effect=ValueError("\nno such operation")):
        current, _ = FastSteps(own, pixels)(pixels)
    torch.testing.assert_close(current, in_torch(own, pixels)[0])
    assert "OpenVINO cannot take it: no such operation" in caplog.text


@pytest.mark.usefixtures("fast")
def test_a_conversion_mutes_nobody(tiny: Sam) -> None:
    """OpenVINO's converter would let nothing below an error through, in the whole program."""
    root = logging.getLogger()
    before = root.level, list(root.filters), list(root.handlers)
    pixels = torch.randn(1, 3, tiny.spec.input_size, tiny.spec.input_size)
    FastSteps(tiny.image_encoder.steps(), pixels)
    assert (root.level, list(root.filters), list(root.handlers)) == before


@pytest.mark.usefixtures("fast")
def test_a_cached_view_is_made_by_them(tmp_path: Path) -> None:
    """Converted once for the weights, whatever the number of images."""
    sam = load_sam("tiny").requires_grad_(False)
    images = torch.rand(3, 3, 48, 64) * 255
    view = cache_features(sam, tmp_path, prepare=FastSteps)
    with patch.object(FastSteps, "__init__", autospec=True, side_effect=FastSteps.__init__) as made:
        found = encode(view, images).main
        again = encode(view, images + 1).main
    assert made.call_count == 1
    with torch.no_grad():
        torch.testing.assert_close(found, encode(sam, images).main, atol=1e-2, rtol=1e-2)
    assert not torch.equal(found, again)
