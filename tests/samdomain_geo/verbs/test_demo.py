from pathlib import Path

import pytest

from samdomain.errors import InputError
from samdomain.weights import REGISTRY
from samdomain_geo import demo

pytestmark = pytest.mark.skipif(
    REGISTRY["litemedsam"].source.locate() is None, reason="the extra 'embedded' is not installed"
)


def test_demo_beats_its_own_boxes(tmp_path: Path) -> None:
    """Outlines are nearer to the truth than the rough boxes, and every file is there."""
    shown = demo(out=tmp_path / "demo", size=256)
    assert shown.mean_iou > shown.box_iou
    assert all(path.exists() for path in shown.files.values())
    assert Path(shown.summary()["look at"]).exists()
    with pytest.raises(InputError, match="--overwrite"):
        demo(out=tmp_path / "demo", size=256)


def test_a_scene_too_small_is_refused(tmp_path: Path) -> None:
    """The error says how small a scene may be."""
    with pytest.raises(InputError, match="64"):
        demo(out=tmp_path / "demo", size=10)
    assert not (tmp_path / "demo").exists()
