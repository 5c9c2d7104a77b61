"""Figures a mask, their means, and those of all pixels together."""

from collections.abc import Callable
from pathlib import Path

import pytest

from samdomain import load_sam
from samdomain.recipes import preset
from samdomain.training.evaluation import Evaluation, evaluate
from samdomain.training.objects import Whole
from samdomain.training.sample import ImageFile, MaskFile, Sample


def test_means_leave_out_what_a_row_has_not(tmp_path: Path) -> None:
    """A figure's mean is over the rows that have it; the last row of the table holds the means."""
    whole = {"image": "a", "mask": 0, "iou": 0.5, "box": 1.0}
    rows = (whole, {"image": "b", "mask": 0, "iou": 0.1})
    measured = Evaluation(rows, {"pooled_iou": 0.25})
    assert measured.means() == pytest.approx({"iou": 0.3, "box": 1.0, "pooled_iou": 0.25})
    measured.write(tmp_path / "test.csv")
    *_, last = (tmp_path / "test.csv").read_text().splitlines()
    assert last.startswith("mean,,0.3")


def test_answers_without_prompts_are_measured_as_users_get_them(
    pairs: Callable[[str, range], Path],
) -> None:
    """Dice of the image, and of all pixels, agree with the answer that `predict` gives."""
    folder = pairs("data", range(2))
    samples = [
        Sample(
            str(i),
            ImageFile(folder / f"images/{i}.png"),
            MaskFile(folder / f"masks/{i}.png", Whole()),
        )
        for i in range(2)
    ]
    sam, recipe = load_sam("tiny").eval(), preset("sam_sp")
    measured = evaluate(recipe, sam, samples)
    assert [row["image"] for row in measured.rows] == ["0", "1"]
    for row in measured.rows:
        assert row["image_dice"] == pytest.approx(row["dice"])
    both = sizes = 0
    for sample in samples:
        true = sample.masks.read().any(dim=0)
        found = recipe.predict(sam, sample.image.read().float()).logits[0, 0] > 0
        both += int((found & true).sum())
        sizes += int(found.sum() + true.sum())
    assert measured.pooled["pooled_dice"] == pytest.approx(2 * both / sizes if sizes else 1.0)
