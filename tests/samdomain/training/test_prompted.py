from pathlib import Path

import pytest
import torch

from samdomain import Prompts
from samdomain.errors import InputError
from samdomain.training.dataset import collate, read_item
from samdomain.training.folders import Folders
from samdomain.training.prompted import Prompted, Unlabelled, read_prompts
from samdomain.training.prompting import joined_prompts, turned_prompts
from samdomain.views import VIEWS, View


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_boxes_are_read_by_image(tmp_path: Path) -> None:
    """Each row is an object."""
    table = write(
        tmp_path / "p.csv", "image,left,top,right,bottom", "a,1,2,3,4", "b,0,0,9,9", "a,5,5,6,7"
    )
    found = read_prompts(table)
    assert found["a"].boxes.tolist() == [[1, 2, 3, 4], [5, 5, 6, 7]]
    assert found["b"].boxes.tolist() == [[0, 0, 9, 9]]


def test_clicks_of_an_object_belong_together(tmp_path: Path) -> None:
    """Without an object_id a click is an object of its own, and lies on it."""
    table = write(
        tmp_path / "p.csv", "image,x,y,label,object_id", "a,1,2,1,o", "a,3,4,0,o", "a,5,6,,"
    )
    prompts = read_prompts(table)["a"]
    assert [one.tolist() for one in prompts.points] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert [one.tolist() for one in prompts.labels] == [[1, 0], [1]]


def test_wrong_tables_are_refused(tmp_path: Path) -> None:
    """Missing files, columns and numbers are told."""
    with pytest.raises(InputError, match="does not exist"):
        read_prompts(tmp_path / "none.csv")
    with pytest.raises(InputError, match="x, y of clicks"):
        read_prompts(write(tmp_path / "p.csv", "image,left", "a,1"))
    with pytest.raises(InputError, match="cannot be read, at image 'a'"):
        read_prompts(write(tmp_path / "p.csv", "image,x,y", "a,1,two"))
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(write(tmp_path / "p.csv", "image,left,top,right,bottom", "a,1,2,3"))
    (tmp_path / "p.csv").write_bytes("image,x,y\nGröße,1,2".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_prompts(tmp_path / "p.csv")


def test_tables_of_spreadsheets_are_read(tmp_path: Path) -> None:
    """A byte order mark is no part of a column, an image's ending none of its name."""
    table = write(tmp_path / "p.csv", "\ufeffimage,x,y", "north/a.tif,1,2", "b.2024,3,4")
    assert list(read_prompts(table)) == ["north/a", "b.2024"]


def test_rows_without_an_image_are_told(squares: Path) -> None:
    """Some are a finding of `fit --check`, all of them are an error that shows what there is."""
    source = Prompted(Unlabelled("train/images"))
    write(squares / "prompts.csv", "image,x,y", "1.png,12,13", "one,12,13")
    found = source.find(squares, "train")
    assert [one.name for one in found.samples] == ["1"]
    assert [one.rpartition(" asks ")[2] for one in found.problems] == [
        "for 'one', which is no image"
    ]
    write(squares / "prompts.csv", "image,x,y", "train/images/1,12,13")
    with pytest.raises(InputError, match=r"asks for 'train/images/1', but there are images '0'"):
        source.find(squares, "train")


@pytest.mark.parametrize(
    "lines",
    [("image,left,top,right,bottom", "1,40,2,50,9"), ("image,x,y", "1,12,13", "1,3,-1")],
    ids=["box", "click"],
)
def test_prompts_beside_their_image_are_refused(squares: Path, lines: tuple[str, ...]) -> None:
    """Coordinates of a map, or of another size of the image, are found before training."""
    write(squares / "prompts.csv", *lines)
    with pytest.raises(InputError, match=r"in '1' at .* beside its 32 x 32 pixels"):
        Prompted(Unlabelled("train/images")).find(squares, "train")


def test_images_without_masks_are_samples(squares: Path) -> None:
    """They are all for training, with no mask of their own size."""
    source = Unlabelled("train/images")
    samples = source.find(squares, "train").samples
    assert [one.name for one in samples] == ["0", "1", "2", "3", "4", "5"]
    assert read_item(samples[0]).masks.shape == (0, 32, 32)
    assert not source.find(squares, "val").samples
    with pytest.raises(InputError, match="no folder"):
        Unlabelled("nowhere").find(squares, "train")


def test_known_masks_stay_beside_prompts(squares: Path) -> None:
    """Only images with a row are taken; their masks are read as before."""
    write(squares / "prompts.csv", "image,x,y", "1,12,13")
    samples = Prompted(Folders()).find(squares, "train").samples
    assert [one.name for one in samples] == ["1"]
    assert read_item(samples[0]).masks.any()


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_prompts_turn_with_their_image(view: View) -> None:
    """A pixel that is marked is still clicked on, and still in its box."""
    image = torch.zeros(1, 4, 6)
    image[0, 1, 4] = 1
    points = [torch.tensor([[4.5, 1.5]])]
    clicks = Prompts(points=points, labels=[torch.tensor([1])])
    x, y = turned_prompts(clicks, view, (4, 6)).points[0][0].long().tolist()
    turned = view(image)
    assert turned[0, y, x] == 1
    boxed = turned_prompts(Prompts(boxes=torch.tensor([[4.0, 1, 5, 2]])), view, (4, 6))
    left, top, right, bottom = boxed.boxes[0].long().tolist()
    assert turned[0, top:bottom, left:right].sum() == 1


def test_prompts_of_images_are_those_of_the_batch() -> None:
    """Each knows its image; images without any have none, and kinds do not mix."""
    box = Prompts(boxes=torch.tensor([[0.0, 0, 1, 1], [0, 0, 2, 2]]))
    joined = joined_prompts([None, box, None, box])
    assert joined.images.tolist() == [1, 1, 3, 3]
    assert joined_prompts([None, None]) is None
    click = Prompts(points=[torch.zeros(1, 2)], labels=[torch.ones(1, dtype=torch.long)])
    with pytest.raises(InputError, match="batch_size 1"):
        joined_prompts([box, click])


def test_batches_carry_prompts(squares: Path) -> None:
    """They come with the images, in the view that was chosen."""
    write(squares / "prompts.csv", "image,x,y", "1,12,13", "2,5,5")
    samples = Prompted(Folders()).find(squares, "train").samples
    batch = collate([read_item(one, view=2) for one in samples])
    assert batch.prompts.images.tolist() == [0, 1]
    assert batch.prompts.points[0].tolist() == [[20, 19]]
