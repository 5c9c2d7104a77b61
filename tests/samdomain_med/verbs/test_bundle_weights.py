import json
from pathlib import Path

import pytest

monai = pytest.importorskip("monai")

from samdomain.cli import main  # noqa: E402 - after the skip


def test_the_command_writes_a_bundle(
    tmp_path: Path, polyp_adapter: Path, capsys: pytest.CaptureFixture
) -> None:
    """It tells where the weights are, and what to run."""
    out = tmp_path / "deep" / "polyp"
    words = ["--bundle", "polyp_sam_sp", "--adapter", str(polyp_adapter), "--out", str(out)]
    assert main(["med", "bundle-weights", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["weights"] == str(out / "models" / "model.pt")
    assert Path(told["weights"]).stat().st_size == told["bytes"]
    assert "configs/inference.json" in told["then"]


def test_a_wrong_name_ends_in_a_line(
    tmp_path: Path, polyp_adapter: Path, capsys: pytest.CaptureFixture
) -> None:
    """Exit code 2, and nothing is written."""
    words = ["--bundle", "polyps", "--adapter", str(polyp_adapter), "--out", str(tmp_path / "a")]
    assert main(["med", "bundle-weights", *words]) == 2
    assert "shipped are" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
