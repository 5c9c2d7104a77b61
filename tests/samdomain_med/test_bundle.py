import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

monai = pytest.importorskip("monai")

from monai.bundle import verify_metadata, verify_net_in_out  # noqa: E402 - after the skip

from samdomain import load_adapter, load_segmenter, save_adapter  # noqa: E402
from samdomain.adapter_file import AdapterCard, read_adapter  # noqa: E402
from samdomain.errors import InputError  # noqa: E402
from samdomain.training.pictures import read_image  # noqa: E402
from samdomain.weights import sha256  # noqa: E402
from samdomain_med.bundle import BUNDLES, find_bundle, write_bundle  # noqa: E402

# MONAI tries all of its readers, and says which of them this machine lacks.
pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")

SHIPPED = sorted(path.name for path in BUNDLES.iterdir())

DATA = Path(os.environ.get("SAMDOMAIN_DATA", Path(__file__).parents[3] / "shared" / "data"))
SCHEMA = DATA.parent / "monai" / "meta_schema_20240725.json"

ALONE = {"train#dataloader#num_workers": 0, "validate#dataloader#num_workers": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, polyp_adapter: Path) -> Path:
    """The polyp bundle with the weights of a made adapter; no test may write into it."""
    folder = tmp_path_factory.mktemp("bundles") / "polyp"
    write_bundle("polyp_sam_sp", polyp_adapter, folder)
    return folder


@pytest.fixture(scope="module")
def polyps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright discs on dark ground, in images of several sizes that are no squares."""
    folder, chance = tmp_path_factory.mktemp("polyps"), np.random.default_rng(0)
    for split, count in (("train", 2), ("validation", 1), ("test", 2)):
        for number in range(count):
            rows, columns = np.mgrid[: 40 + 6 * number, :56]
            disc = (rows - 20) ** 2 + (columns - 20 - 5 * number) ** 2 < 100
            image = chance.integers(0, 120, (*disc.shape, 3), dtype=np.uint8)
            image[disc] += 100
            for kind, values in (("images", image), ("masks", disc.astype(np.uint8) * 255)):
                (folder / split / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(folder / split / kind / f"{number}.png")
    return folder


@pytest.fixture
def run(bundle: Path, run_bundle: Callable) -> Callable:
    """Run configs of the bundle, results in tmp_path."""
    return partial(run_bundle, bundle)


def expressions(values: Any) -> Iterator[str]:
    """Yield all texts in a config that MONAI runs as code."""
    if isinstance(values, str) and values.startswith("$"):
        yield values
    elif isinstance(values, dict):
        yield from (found for one in values.values() for found in expressions(one))
    elif isinstance(values, list):
        yield from (found for one in values for found in expressions(one))


def configs(name: str) -> dict[str, Any]:
    paths = find_bundle(name).glob("configs/*.json")
    return {path.stem: json.loads(path.read_text()) for path in paths}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_layout_is_the_model_zoos(name: str) -> None:
    """The zoo's checks look for these files."""
    wanted = {"train", "inference", "evaluate", "multi_gpu_train", "metadata"}
    assert configs(name).keys() >= wanted
    for file in ("configs/logging.conf", "docs/README.md", "docs/data_license.txt", "LICENSE"):
        assert (find_bundle(name) / file).is_file()
    assert "large_files:" in (find_bundle(name) / "large_files.yml").read_text()


@pytest.mark.parametrize("name", SHIPPED)
def test_code_in_configs_is_listed(name: str) -> None:
    """The README names each expression and the configs it stands in, and no other."""
    text = (find_bundle(name) / "docs" / "README.md").read_text()
    rows = re.findall(r"^\| `(\$[^`]+)` \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    listed = {code: set(where.strip().split(", ")) for code, where, _ in rows}
    found: dict[str, set[str]] = {}
    for config, values in configs(name).items():
        for code in expressions(values):
            found.setdefault(code, set()).add(config)
    assert listed == found


@pytest.mark.parametrize("name", SHIPPED)
def test_labels_are_checked_once_they_are_read(name: str) -> None:
    """What comes later would raise errors that name no file."""
    train = configs(name)["train"]
    for part in ("train", "validate"):
        steps = train[part]["preprocessing"]["transforms"]
        kinds = [one["_target_"].rpartition(".")[2] for one in steps]
        assert kinds[kinds.count("LoadImaged")] == "CheckLabeld"


@pytest.mark.parametrize("name", SHIPPED)
def test_research_only_is_said(name: str) -> None:
    """In the metadata, and in what a person reads first."""
    metadata = configs(name)["metadata"]
    assert metadata["intended_use"].startswith("Research only")
    assert metadata["version"] in metadata["changelog"]
    assert "Research only" in (find_bundle(name) / "docs" / "README.md").read_text()


@pytest.mark.skipif(not SCHEMA.exists(), reason="the schema is not here: set SAMDOMAIN_DATA")
@pytest.mark.parametrize("name", SHIPPED)
def test_metadata_are_valid(name: str) -> None:
    """MONAI's own check passes with a local copy of the schema."""
    metadata = find_bundle(name) / "configs" / "metadata.json"
    verify_metadata(metadata, SCHEMA, hash_val=sha256(SCHEMA), hash_type="sha256")


def test_the_network_has_the_shape_that_the_metadata_say(bundle: Path) -> None:
    """MONAI's own check passes with the config for inference."""
    folder = bundle / "configs"
    verify_net_in_out(
        "network_def", folder / "metadata.json", folder / "inference.json", device="cpu"
    )


def test_weights_are_plain_tensors(bundle: Path) -> None:
    """The file loads without running code, and the adapter stands beside it."""
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert all(isinstance(one, torch.Tensor) for one in state.values())
    loaded = load_adapter(bundle / "models").sam.state_dict()
    assert all(torch.equal(one, state[f"sam.{key}"]) for key, one in loaded.items())


def test_bundle_and_adapter_mark_the_same_pixels(
    run: Callable, bundle: Path, polyps: Path, polyp_adapter: Path, tmp_path: Path
) -> None:
    """Each mask that inference writes is the segmenter's, upright and in the image's size."""
    pictures = polyps / "test" / "images"
    run(
        "inference",
        kind="infer",
        dataset_dir=str(pictures),
        device="cpu",
        **{"dataloader#num_workers": 0},
    )
    segmenter, _ = load_segmenter(polyp_adapter)
    marked = 0
    for path in sorted(pictures.iterdir()):
        with torch.no_grad():
            wanted = segmenter(read_image(path)[None].float())[0, 0] >= 0
        written = np.asarray(Image.open(tmp_path / "eval" / f"{path.stem}_mask.png"))
        np.testing.assert_array_equal(written, wanted.numpy() * np.uint8(255))
        marked += int(wanted.sum())
    assert marked


def test_the_bundles_logits_are_calibrated_as_the_adapters(
    bundle: Path, polyp_adapter: Path
) -> None:
    """The temperature of the card is a word of the network."""
    parser = monai.bundle.ConfigParser.load_config_file(bundle / "configs" / "inference.json")
    assert parser["network_def"]["temperature"] == 2.0
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["eval_metrics"] == {"val/dice": 0.25}


def test_training_stops_resumes_and_is_evaluated(
    run: Callable, polyps: Path, tmp_path: Path
) -> None:
    """Two epochs in two goes end with the weights of two in one; the best is evaluated."""
    steady = {"network_def#options": {"jitter": 0.0}, "train#dataloader#shuffle": False}
    words = {"dataset_dir": str(polyps), "train#trainer#max_epochs": 2, **ALONE, **steady}
    parts = {"ckpt_dir": str(tmp_path / "parts")}
    run("train", stopped=True, **words, **parts)
    assert not (tmp_path / "parts" / "checkpoint_epoch=2.pt").exists()
    resumed = run("train", "resume", **words, **parts).network_def.state_dict()
    whole = run("train", **words, ckpt_dir=str(tmp_path / "one")).network_def.state_dict()
    torch.testing.assert_close(resumed, whole)
    assert torch.load(tmp_path / "parts" / "model.pt", weights_only=True).keys() == whole.keys()
    run("train", "evaluate", **words, **parts)
    rows = (tmp_path / "eval" / "val_mean_dice_raw.csv").read_text().splitlines()
    assert [Path(row.split(",")[0]).name for row in rows[1:]] == ["0.png", "1.png"]


@pytest.mark.slow
def test_the_commands_of_the_readme_run(bundle: Path, polyps: Path, tmp_path: Path) -> None:
    """In a process each, from the bundle's folder, as a user types them."""
    folder = shutil.copytree(bundle, tmp_path / "polyp")
    text = (folder / "docs" / "README.md").read_text()
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    commands = [line for line in commands if "torchrun" not in line and "schema" not in line]
    assert len(commands) == 5
    for command in commands:
        words = shlex.split(command.replace("FOLDER", str(polyps)))
        words = [one.replace("IMAGES", str(polyps / "test" / "images")) for one in words]
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert {"metrics.csv", "0_mask.png", "1_mask.png"} <= {p.name for p in folder.glob("eval/*")}


def test_another_recipe_is_refused(tmp_path: Path, trained: Callable) -> None:
    """A bundle's network is of one recipe."""
    from samdomain.lora import LoRA  # noqa: PLC0415 - one test's own

    save_adapter(trained(LoRA()), tmp_path / "lora", AdapterCard(recipe="sam", output="instances"))
    with pytest.raises(InputError, match="of recipe 'sam', the bundle of 'sam_sp'"):
        write_bundle("polyp_sam_sp", tmp_path / "lora", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_code_of_an_adapter_does_not_get_into_configs(tmp_path: Path, polyp_adapter: Path) -> None:
    """MONAI would run it."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    for file in polyp_adapter.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    described = read_adapter(folder).to_json()
    text = json.dumps(described).replace('"tiny"', '"$print()"')
    (folder / "samdomain.json").write_text(text)
    with pytest.raises(InputError, match="MONAI could run as code"):
        write_bundle("polyp_sam_sp", folder, tmp_path / "out")


def test_what_stands_there_is_kept(tmp_path: Path, polyp_adapter: Path) -> None:
    """Only a bundle is replaced, and only where that is asked for."""
    out = tmp_path / "out"
    write_bundle("polyp_sam_sp", polyp_adapter, out)
    with pytest.raises(InputError, match="--overwrite"):
        write_bundle("polyp_sam_sp", polyp_adapter, out)
    (out / "models" / "model.pt").write_bytes(b"")
    assert write_bundle("polyp_sam_sp", polyp_adapter, out, overwrite=True).stat().st_size
    with pytest.raises(InputError, match="no bundle: give another"):
        write_bundle("polyp_sam_sp", polyp_adapter, tmp_path, overwrite=True)


def test_an_unknown_bundle_is_told() -> None:
    """With the names of those that are shipped."""
    with pytest.raises(InputError, match=r"shipped are .*polyp_sam_sp"):
        find_bundle("polyp")
