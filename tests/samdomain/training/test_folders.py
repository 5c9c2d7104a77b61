from collections.abc import Callable
from pathlib import Path

import pytest

from samdomain.errors import InputError
from samdomain.training.cameras import Cameras
from samdomain.training.chipped import Chipped
from samdomain.training.folders import Folders
from samdomain.training.joined import Joined

Pairs = Callable[[str, range], Path]


def names(source: Folders | Joined, folder: Path, split: str) -> list[str]:
    return [sample.name for sample in source.find(folder, split).samples]


def test_splits_are_folders(squares: Path) -> None:
    """Each split has a folder with images and masks."""
    assert names(Folders(), squares, "train") == ["0", "1", "2", "3", "4", "5"]
    assert names(Folders(), squares, "test") == ["8", "9"]


def test_a_folder_may_have_the_long_name(squares: Path) -> None:
    """`validation` is as good as `val`."""
    (squares / "val").rename(squares / "validation")
    assert names(Folders(), squares, "val") == ["6", "7"]


def test_without_splits_all_is_training(pairs: Pairs) -> None:
    """Plain images and masks are for training."""
    folder = pairs("plain", range(3))
    assert names(Folders(), folder, "train") == ["0", "1", "2"]
    assert names(Folders(), folder, "val") == []


def test_a_list_says_the_split(pairs: Pairs) -> None:
    """`splits.csv` names files by path, name, or name without the ending."""
    folder = pairs("listed", range(4))
    (folder / "splits.csv").write_text("id,type,split\n0,a,train\n1.png,b,val\n3,a,train\n")
    assert names(Folders(), folder, "train") == ["0", "3"]
    assert names(Folders(), folder, "val") == ["1"]


def test_what_does_not_pair_is_told(pairs: Pairs) -> None:
    """Images without a mask, masks without an image and names twice are problems."""
    folder = pairs("odd", range(3))
    (folder / "masks/0.png").unlink()
    (folder / "images/1.png").unlink()
    (folder / "images/2.jpg").write_bytes(b"")
    found = Folders().find(folder, "train")
    assert [sample.name for sample in found.samples] == ["2"]
    told = " ".join(found.problems)
    assert "0.png has no mask" in told
    assert "1.png has no image" in told
    assert "2.png and 2.jpg share a name" in told


def test_masks_may_have_a_suffix(pairs: Pairs) -> None:
    """`7_mask.png` belongs to `7.png`, and is no image where both lie in one folder."""
    folder = pairs("one", range(1))
    (folder / "masks/0.png").rename(folder / "images/0_mask.png")
    found = Folders(masks="images", suffix="_mask").find(folder, "train")
    assert [sample.name for sample in found.samples] == ["0"]
    assert found.problems == ()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    """A folder without images says what it should have."""
    with pytest.raises(InputError, match="images"):
        Folders().find(tmp_path, "train")


def test_sources_join(pairs: Pairs, tmp_path: Path) -> None:
    """Samples of several sources stand behind one another under the sources' names."""
    pairs("a", range(1))
    pairs("b", range(2))
    both = Joined({"a": Folders(within="a"), "b": Folders(within="b")})
    assert names(both, tmp_path, "train") == ["a/0", "b/0", "b/1"]


def test_shares_say_how_much_of_an_epoch_a_source_has(pairs: Pairs, tmp_path: Path) -> None:
    """Two sources of equal shares are drawn alike; all weights add up to as much as before."""
    pairs("a", range(1))
    pairs("b", range(3))
    sources = {"a": Folders(within="a"), "b": Folders(within="b")}
    found = Joined(sources, shares={"a": 1.0, "b": 1.0}).find(tmp_path, "train")
    assert [one.weight for one in found.samples] == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])


def test_joined_sources_have_the_looks_of_each() -> None:
    """Of all the same; others would be left out of some, and are refused."""
    seen, plain = Folders(looks=Cameras(3)), Folders()
    assert Joined({"a": seen, "b": seen}).augmentation() == Cameras(3)
    assert len(Joined({"a": plain, "b": plain}).augmentation()) == 1
    with pytest.raises(InputError, match="different looks"):
        Joined({"a": seen, "b": plain}).augmentation()


@pytest.mark.parametrize("shares", [{"c": 1.0}, {"a": 0.0}, {"a": -1.0}])
def test_shares_that_mean_nothing_are_refused(shares: dict[str, float]) -> None:
    """A share of a source that is not there, or of nothing, is a mistake."""
    with pytest.raises(InputError, match="share"):
        Joined({"a": Folders(within="a")}, shares)


def test_sources_of_other_ranges_do_not_join(pairs: Pairs, tmp_path: Path) -> None:
    """A batch is scaled by one range: chips of a fixed one and images of their own do not mix."""
    pairs("a", range(1))
    pairs("b", range(1))
    chips = Chipped(Folders(within="a"), 8)
    with pytest.raises(InputError, match="range"):
        Joined({"a": chips, "b": Folders(within="b")}).find(tmp_path, "train")
