import pytest
import torch

from samdomain.recipes import THING, Calibration, Legend


def test_too_sure_logits_are_cooled() -> None:
    """Logits that are three times what their truth was drawn from want a temperature of 3."""
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(1, 64, 64, generator=generator) * 2
    true = torch.rand(1, 64, 64, generator=generator) < honest.sigmoid()
    calibration = Calibration(THING)
    calibration.add(3 * honest, true)
    assert calibration.temperature() == pytest.approx(3, rel=0.1)
    assert calibration.error(3.0) < 0.03 < calibration.error()


def test_classes_have_one_temperature() -> None:
    """Of three classes drawn by their softmax at temperature 0.5."""
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(3, 64, 64, generator=generator)
    drawn = torch.multinomial(honest.softmax(0).flatten(1).T, 1, generator=generator)
    true = drawn.T.reshape(64, 64) == torch.arange(3)[:, None, None]
    calibration = Calibration(Legend(("a", "b", "c")))
    calibration.add(honest / 2, true)
    assert calibration.temperature() == pytest.approx(0.5, rel=0.1)


def test_unlabelled_pixels_do_not_count() -> None:
    """Where no class is true nothing is collected; without anything nothing changes."""
    calibration = Calibration(Legend(("a", "b")))
    calibration.add(torch.randn(2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool))
    assert calibration.temperature() == 1
    assert calibration.error() == 0


def test_the_error_is_what_a_hand_finds() -> None:
    """Decisions that are 90% sure and right half of the time are 0.4 off."""
    calibration = Calibration(THING)
    logit = torch.tensor(0.9).logit()
    true = torch.tensor([[True, False]]).repeat(1, 8)[None]
    calibration.add(logit.expand(1, 1, 16), true)
    assert calibration.error() == pytest.approx(0.4, abs=1e-6)
