import os
from pathlib import Path

import pytest
import torch

from samdomain.cache import FeatureStore


def test_what_was_put_is_found_in_half_precision(tmp_path: Path) -> None:
    """Values come back in float32, rounded to fp16."""
    store = FeatureStore(tmp_path)
    store.put("abcd", {"x": torch.tensor([1.0, 1 / 3])})
    found = store.get("abcd")
    assert found is not None
    assert found["x"].tolist() == [1.0, torch.tensor(1 / 3).half().float().item()]


def test_an_absent_key_is_none(tmp_path: Path) -> None:
    """Absence is no error."""
    assert FeatureStore(tmp_path).get("abcd") is None


def test_values_beyond_half_precision_are_kept_whole(tmp_path: Path) -> None:
    """70,000 is infinite in fp16, and stays 70,000."""
    store = FeatureStore(tmp_path)
    store.put("abcd", {"x": torch.tensor([7e4])})
    found = store.get("abcd")
    assert found is not None
    assert found["x"].item() == 7e4


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    """Reading counts as use."""
    store = FeatureStore(tmp_path, limit=2500)
    for i, key in enumerate(("aa", "bb", "cc")):
        store.put(key, {"x": torch.zeros(400)})  # about 900 bytes each
        os.utime(next(tmp_path.glob(f"{key}/*")), (i, i))
    assert store.get("aa") is not None
    store.prune()
    assert store.get("bb") is None
    assert store.get("aa") is not None


def test_a_damaged_file_is_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A torn file is reported and counts as absent."""
    store = FeatureStore(tmp_path)
    store.put("abcd", {"x": torch.zeros(9)})
    next(tmp_path.glob("ab/*")).write_bytes(b"torn")
    assert store.get("abcd") is None
    assert "computed again" in caplog.text


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A store only saves time."""
    (tmp_path / "file").write_text("")
    FeatureStore(tmp_path / "file").put("abcd", {"x": torch.zeros(9)})
    assert "cannot be kept" in caplog.text


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    """Only whole files stand in the folder."""
    FeatureStore(tmp_path).put("abcd", {"x": torch.zeros(9)})
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["abcd.safetensors"]
