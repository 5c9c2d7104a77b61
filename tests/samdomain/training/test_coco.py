import json
from pathlib import Path
from typing import Any

import pytest
import torch

from samdomain.errors import InputError
from samdomain.training.coco import Coco, draw_polygon, draw_runs, unpack_runs
from samdomain.training.sample import ImageFile

SQUARE = [1.0, 0.0, 3.0, 0.0, 3.0, 2.0, 1.0, 2.0]
MASK = [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def write(folder: Path, *objects: dict[str, Any], name: str = "instances_train.json") -> Path:
    annotations = [
        {"id": i, "image_id": 7, "category_id": 1, **one} for i, one in enumerate(objects)
    ]
    image = {"id": 7, "file_name": "tiles/a.png", "height": 3, "width": 4}
    categories = [{"id": 1, "name": "roof"}, {"id": 2, "name": "car"}]
    content = {"images": [image], "annotations": annotations, "categories": categories}
    (folder / name).write_text(json.dumps(content))
    return folder


def masks(folder: Path, source: Coco | None = None) -> list[Any]:
    (sample,) = (source or Coco()).find(folder, "train").samples
    return sample.masks.read().int().tolist()


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        {"counts": [3, 2, 1, 2, 4], "size": [3, 4]},
        {"counts": "32103", "size": [3, 4]},
        None,
    ],
)
def test_all_forms_draw_the_same(tmp_path: Path, segmentation: Any) -> None:
    """Polygon, run lengths, packed run lengths and a box give the hand-made mask."""
    one = {"segmentation": segmentation, "bbox": [1, 0, 2, 2]}
    assert masks(write(tmp_path, one)) == [MASK]


def test_a_polygon_covers_the_centres_inside() -> None:
    """A triangle takes the pixels whose centres it holds, and what is outside is cut."""
    drawn = draw_polygon([-2.0, 0.2, 3.2, 0.2, -2.0, 5.4], (3, 4))
    expected = [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    assert drawn.astype(int).tolist() == expected


def test_runs_go_down_the_columns() -> None:
    """The first run is outside; a mask may begin with an object."""
    assert draw_runs([0, 2, 2], (2, 2)).astype(int).tolist() == [[1, 0], [1, 0]]
    with pytest.raises(InputError, match="5 pixels"):
        draw_runs([5], (2, 2))


def test_packed_runs_may_be_long_and_differ_downwards() -> None:
    """Runs over 15 take more letters; from the fourth on, differences may be negative."""

    def packed(runs: list[int]) -> str:
        text = ""
        for i, run in enumerate(runs):
            value = run - runs[i - 2] if i > 2 else run
            while True:
                bits, value = value & 0x1F, value >> 5
                more = value != (-1 if bits & 0x10 else 0)
                text += chr(48 + bits + (0x20 if more else 0))
                if not more:
                    break
        return text

    runs = [1000, 3, 40, 2000, 1, 7, 5]
    assert unpack_runs(packed(runs)) == runs


def test_parts_of_an_object_join(tmp_path: Path) -> None:
    """Several polygons of one annotation are one object."""
    other = [0, 2, 1, 2, 1, 3, 0, 3]
    (mask,) = masks(write(tmp_path, {"segmentation": [SQUARE, other]}))
    assert mask == [[0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 0]]


def test_crowds_and_other_categories_are_left_out(tmp_path: Path) -> None:
    """Only objects that were asked for count."""
    crowd = {"segmentation": [SQUARE], "iscrowd": 1}
    car = {"segmentation": [SQUARE], "category_id": 2}
    folder = write(tmp_path, crowd, car)
    assert masks(folder, Coco(categories=("roof",))) == []
    assert masks(folder) == [MASK]
    with pytest.raises(InputError, match="roof, car"):
        masks(folder, Coco(categories=("tree",)))


def test_an_image_without_objects_stays(tmp_path: Path) -> None:
    """Its masks are none, in its size."""
    (sample,) = Coco().find(write(tmp_path), "train").samples
    assert sample.masks.read().shape == torch.Size([0, 3, 4])
    assert sample.image == ImageFile(tmp_path / "images/tiles/a.png")
    assert sample.name == "tiles/a"


def test_files_of_splits_can_be_named(tmp_path: Path) -> None:
    """Another name is given a split; a split without a file is empty."""
    folder = write(tmp_path, name="all.json")
    source = Coco(annotations={"train": "all.json"})
    assert len(source.find(folder, "train").samples) == 1
    assert source.find(folder, "val").samples == ()
    with pytest.raises(InputError, match="no COCO file"):
        Coco().find(folder, "train")


@pytest.mark.parametrize("content", ["[]", "{", '{"images": []}'])
def test_what_is_no_coco_is_refused(tmp_path: Path, content: str) -> None:
    """The file is named."""
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(InputError, match=r"train\.json"):
        Coco().find(tmp_path, "train")


@pytest.mark.parametrize("segmentation", [[[1, 2, 3]], {"size": [3, 4]}, {"counts": [1]}])
def test_a_broken_annotation_is_named(tmp_path: Path, segmentation: Any) -> None:
    """Reading it tells what is wrong."""
    with pytest.raises(InputError, match=r"annotation 0|pixels"):
        masks(write(tmp_path, {"segmentation": segmentation}))
