from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samdomain.errors import InputError
from samdomain_med.files.finding import Found
from samdomain_med.label_files import LabelFiles


def found(*names: str, kind: str = "picture") -> list[Found]:
    return [Found(name, Path(name), kind) for name in names]  # type: ignore[arg-type] - a word


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("picture", "ward/a.png"),
        ("picture", "ward/a_mask.tif"),
        ("nifti", "ward/a_seg.nii.gz"),
        ("nifti", "ward/a.nii"),
        ("dicom", "ward/a.dcm"),
        ("dicom", "ward/a_seg.dcm"),
        ("dicom", "ward/a"),
    ],
)
def test_labels_are_found_by_name(tmp_path: Path, kind: str, file: str) -> None:
    """With the endings of the case's kind, as our own masks have them."""
    (tmp_path / "ward").mkdir()
    (tmp_path / file).touch()
    labels = LabelFiles(tmp_path, ("polyp",))
    (case,) = found("ward/a", kind=kind)
    assert labels.find(case) == tmp_path / file
    assert labels.check([case, *found("ward/b", kind=kind)]) == 1


def test_labels_that_belong_to_no_case_are_refused(tmp_path: Path) -> None:
    """A wrong folder would end without figures, one file in figures of other cases."""
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"has labels of none of the 2 cases: .* be b\."):
        LabelFiles(tmp_path, ("polyp",)).check(found("b", "c"))
    with pytest.raises(InputError, match=r"a\.png is one file, and there are 2 cases"):
        LabelFiles(tmp_path / "a.png", ("polyp",)).check(found("a", "b"))


def test_a_value_that_is_no_class_is_refused(tmp_path: Path) -> None:
    """Of several classes the values are numbers; of one, all that is not 0 is it."""
    from samdomain_med.files.finding import find_cases  # noqa: PLC0415 - one test's own

    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 4), 7, np.uint8)).save(tmp_path / name / "a.png")
    case = find_cases(tmp_path / "images")[0].read()
    with pytest.raises(InputError, match=r"a\.png has values from 7 to 7: .* are 1 to 2"):
        LabelFiles(tmp_path / "labels", ("benign", "malignant")).read(case)
    values = LabelFiles(tmp_path / "labels", ("lesion",)).read(case)
    assert values is not None
    assert set(np.unique(values)) == {1}
