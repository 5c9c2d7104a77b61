"""What the documents tell a user to run, runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from samdomain.weights import REGISTRY

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "tutorials").glob("*.py"))

pytestmark = pytest.mark.skipif(
    REGISTRY["litemedsam"].source.locate() is None, reason="the extra 'embedded' is not installed"
)


def run(folder: Path, *words: str) -> str:
    """Run Python in a folder and return what it printed."""
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_readme_first_snippet_runs(tmp_path: Path) -> None:
    """The first lines of Python in the README work as they stand, in at most twelve lines."""
    first = snippets()[0]
    assert len([line for line in first.splitlines() if line.strip()]) <= 12
    assert "geometry" in run(tmp_path, "-c", first)
    assert (tmp_path / "result" / "polygons.gpkg").exists()


def test_readme_core_snippet_runs(tmp_path: Path) -> None:
    """The four lines on the core work on an image and a box."""
    inputs = "import torch; pixels = torch.rand(3, 80, 90); boxes = torch.tensor([[5., 5, 60, 70]])"
    printed = run(tmp_path, "-c", f"{inputs}\n{snippets()[1]}\nprint(masks.shape)")
    assert printed == "torch.Size([1, 1, 80, 90])\n"


def test_readme_adapting_snippet_runs(tmp_path: Path) -> None:
    """The lines on adapting work as they stand, and leave an adapter."""
    assert "decoder" in run(tmp_path, "-c", snippets()[2])
    assert (tmp_path / "roofs" / "adapter_model.safetensors").exists()


def test_readme_monai_snippet_runs(tmp_path: Path) -> None:
    """The lines on MONAI train a network by a loss of MONAI's."""
    pytest.importorskip("monai")
    run(tmp_path, "-c", next(one for one in snippets() if "DiceCELoss" in one))


def test_readme_volume_snippet_runs(tmp_path: Path) -> None:
    """The lines on volumes work on a volume of three slices."""
    inputs = (
        "import torch; voxels = torch.rand(20, 24, 3); "
        "corners = torch.tensor([[5, 6, 0], [15, 18, 3]])"
    )
    lines = next(one for one in snippets() if "propagate" in one)
    assert run(tmp_path, "-c", f"{inputs}\n{lines}\nprint(organ.shape)").endswith("[20, 24, 3])\n")


def test_readme_recipe_snippet_runs(tmp_path: Path) -> None:
    """The lines on recipes work on two images and their masks."""
    inputs = (
        "import torch; from samdomain import load_sam; images = torch.rand(2, 3, 64, 64) * 255; "
        "masks = [image[0] > 200 for image in images]"
    )
    recipe = next(one for one in snippets() if "recipe.adapt" in one)
    assert run(tmp_path, "-c", f"{inputs}\n{recipe}\nprint(mask.shape)") == "torch.Size([64, 64])\n"


SHORT = {
    "01_scene_to_polygons": "192",
    "02_adapt_any_sam": "4",
    "03_a_scene_larger_than_memory": "4096",
    "04_no_more_prompts": "1",
    "05_few_shot_plates": "1",
    "06_train_on_your_scene": "1",
    "07_torchgeo_yaml": "1",
    "08_polyp_bundle": "1",
    "09_volumes": "1",
    "10_what_changed": "1",
    "12_adapt_without_labels": "1",
}


# Minutes each: their recipes and commands are tested in their own rooms, too.
LONG = {"04_no_more_prompts", "05_few_shot_plates", "09_volumes", "12_adapt_without_labels"}


@pytest.mark.parametrize(
    "tutorial",
    [pytest.param(one, marks=pytest.mark.slow) if one.stem in LONG else one for one in TUTORIALS],
    ids=lambda path: path.stem,
)
def test_tutorials_run_in_a_short_form(tutorial: Path, tmp_path: Path) -> None:
    """Each tutorial runs from start to end and prints a figure that the reader can check."""
    assert "IoU" in run(tmp_path, str(tutorial), SHORT[tutorial.stem])
