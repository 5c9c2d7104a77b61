"""Adapt without masks, and compare with the base and with training on masks.

    python benchmarks/wesam.py [CELL ...]     as nepal-all-0; all missing by default

DOMAIN-direct: the weights as they are. DOMAIN-VARIANT-SEED: adapted with boxes of the training
images' objects, by `self` (self-training alone), `anchor`, `contrast` (each beside it), `all`, or
`supervised` (the true masks, same updates, views and steps). `none` makes boxes by itself, `coarse`
asks by the box of a coarse outline, `norms` and `decoder` train other parts, `shared` has a teacher
of the student's own weights.

Each domain has the same few images and steps for all variants. The figures `test` are of the epoch
that was chosen on validation, without labels but for `supervised`; `test_last` is of the last,
which nobody chose. Both are the mean IoU of the test's objects with their exact boxes, 16 of
an image at most. `log` has the curves. A training that was cut off goes on where its last epoch
ended. Clicks are not measured: litemedsam knows boxes alone.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from grid import run_grid
from real_data import FOLDER
from torch import Tensor
from training import RUNS, Result, base, rounded, trained

from samdomain.metrics import iou_score
from samdomain.prompting import boxes_around
from samdomain.recipes import Recipe, few_shots
from samdomain.recipes.answering import score_masks
from samdomain.recipes.objects import choose_objects
from samdomain.sam import SamLike
from samdomain.training.coco import Coco
from samdomain.training.command import Command, checkpoints
from samdomain.training.dataset import collate, read_item
from samdomain.training.epoch_log import read_csv
from samdomain.training.folders import Folders
from samdomain.training.sample import ImageFile, MaskFile, Sample, Source, Split

DATA = RUNS / "wesam-data"
LIMITS: dict[Split, int] = {"train": 16, "val": 6, "test": 16}
EPOCHS = 6  # of eight steps of eight prompts each
SEEDS = (0, 1, 2)
MOST = 16  # objects of a test image

Options = dict[str, Any]

VARIANTS: dict[str, Options] = {
    "self": {"learning": {"anchor": 0.0, "contrast": 0.0}, "collapse": None},
    "anchor": {"learning": {"contrast": 0.0}},
    "contrast": {"learning": {"anchor": 0.0}, "collapse": None},
    "all": {},
    "supervised": {
        "supervised": True,
        "learning": {"anchor": 0.0, "contrast": 0.0},
        "collapse": None,
    },
    "shared": {"momentum": 0.0},
    "none": {"asking": {"kind": "none"}},
    "coarse": {"asking": {"kind": "polygon", "polygon_as": "box"}},
    "norms": {"tuning": {"injections": [], "parts": ["encoder.norms", "decoder.norms"]}},
    "decoder": {"tuning": {"injections": [], "parts": ["decoder"]}},
}

PIECES = {"class_path": "samdomain.training.objects.Components", "init_args": {"smallest": 64}}
NUMBERS = {"class_path": "samdomain.training.objects.Ids", "init_args": {"smallest": 16}}
DOMAINS: dict[str, Options | None] = {  # how masks become objects; None where they are COCO's
    "nepal": PIECES,
    "dsb2018": NUMBERS,
    "nwpu-vhr10": None,
    "busi": PIECES,
    "kvasir-seg": PIECES,
}


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    names = [f"nepal-{v}-{s}" for s in SEEDS for v in ("self", "anchor", "contrast", "all")]
    names += [f"nepal-supervised-{s}" for s in SEEDS]
    others = [domain for domain in DOMAINS if domain != "nepal"]
    names += [f"{domain}-{variant}-0" for domain in others for variant in ("all", "supervised")]
    names += ["nepal-shared-0", "nepal-none-0", "nepal-coarse-0"]
    names += ["dsb2018-norms-0", "dsb2018-decoder-0"]
    cells = {f"{domain}-direct": partial(direct, domain) for domain in DOMAINS}
    run_grid("wesam", cells | {name: partial(adapted, name) for name in names})


def direct(domain: str) -> Result:
    """Measure the weights as they are."""
    return base((f"--config={config(domain, 'all')}",), mean_iou)


def adapted(name: str) -> Result:
    """Adapt, and measure the epoch that was chosen and the last."""
    domain, variant, _ = name.rsplit("-", 2)
    words = (f"--config={config(domain, variant)}",)
    result = trained(f"wesam-{name}", words, (), mean_iou)
    log = read_csv(RUNS / f"wesam-{name}" / "log.csv")
    kept = {key for row in log for key in row if key.startswith("val/") or key == "train/loss"}
    return result | {
        "options": VARIANTS[variant],
        "test_last": last(RUNS / f"wesam-{name}"),
        "log": [rounded({key: row[key] for key in sorted(kept) if key in row}) for row in log],
    }


def last(run: Path) -> Result:
    """Measure the last epoch of a run."""
    built = Command("test", [f"--config={run}"]).build(0)
    built.module.start(0)
    built.module.load_stage(checkpoints(run, 0) / "last.ckpt")
    built.module.finish()
    return mean_iou(built.module.recipe, built.module.view(), built.data.found("test").samples)


def mean_iou(recipe: Recipe, sam: SamLike, samples: Sequence[Sample]) -> Result:
    """Return the mean IoU of objects that are asked for by their exact boxes."""
    scores: list[Tensor] = []
    for sample in samples:
        batch = collate([read_item(sample)])
        chosen = choose_objects(batch.objects(), MOST, torch.Generator().manual_seed(0))
        if chosen.masks:
            boxes = boxes_around(chosen.masks, chosen.images)
            answers = recipe.predict(sam, batch.images, boxes)
            scores.append(score_masks(iou_score, answers, chosen.masks))
    found = torch.cat(scores)
    return {"objects": len(found), **rounded({"iou": float(found.mean())})}


def config(domain: str, variant: str) -> Path:
    """Write the config of a variant, and lay out its data where they are not."""
    folder = DATA / domain
    if not folder.exists():
        lay_out(domain, folder)
    objects = DOMAINS[domain]
    source = {
        "class_path": f"samdomain.training.{'coco.Coco' if objects is None else 'folders.Folders'}",
        "init_args": {} if objects is None else {"objects": objects},
    }
    values = {
        "model": {
            "recipe": {"name": "wesam", "options": VARIANTS[variant]},
            "base": {"weights": "litemedsam"},
        },
        "data": {"folder": str(folder), "source": source, "batch_size": 2, "views": 1},
        "trainer": {
            "max_epochs": EPOCHS,
            "gradient_clip_val": 1.0,
            "accelerator": "cpu",
            "enable_progress_bar": False,
        },
    }
    path = DATA / f"{domain}-{variant}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def lay_out(domain: str, folder: Path) -> None:
    """Link so many images of each split, and their masks, below a folder."""
    whole = source_of(domain)
    found = {split: whole(split) for split in LIMITS}
    for split, limit in LIMITS.items():
        samples = found[split]
        taken = few_shots((one.name for one in samples), min(limit, len(samples)))
        chosen = [one for one in samples if one.name in taken]
        if DOMAINS[domain] is None:
            write_coco(folder, split, chosen)
        else:
            link(folder / split, chosen)


def source_of(domain: str) -> Callable[[Split], Sequence[Sample]]:
    """Return what finds the samples of a split of a domain, all of them."""
    folder = FOLDER / domain
    if domain == "nwpu-vhr10":  # the published validation is the test here
        return partial(_of_one_file, Coco(), folder)
    if domain == "busi":
        return partial(_of_folds, folder)
    names = {"nepal": {"images": "tiles"}, "dsb2018": {"masks": "labels"}}.get(domain, {})
    source: Source = Folders(**names)
    return lambda split: source.find(folder, split).samples


def _of_one_file(source: Source, folder: Path, split: Split) -> Sequence[Sample]:
    if split == "test":
        return source.find(folder, "val").samples
    samples = source.find(folder, "train").samples
    held = few_shots((one.name for one in samples), LIMITS["val"])
    return [one for one in samples if (one.name in held) == (split == "val")]


def _of_folds(folder: Path, split: Split) -> Sequence[Sample]:
    """Return benign and malignant cases: fold 0 is the test, fold 1 validation."""
    folds = {"test": {"fold0"}, "val": {"fold1"}, "train": {"fold2", "fold3", "fold4"}}[split]
    rows = [line.split(",") for line in (folder / "splits.csv").read_text().split()[1:]]
    wanted = {(kind, Path(file).stem) for kind, file, fold in rows if fold in folds}
    return [
        replace(one, name=f"{kind}-{one.name}")
        for kind in ("benign", "malignant")
        for one in Folders().find(folder / kind, "train").samples
        if (kind, one.name) in wanted
    ]


def link(folder: Path, samples: Sequence[Sample]) -> None:
    """Link images and masks under the names of their samples."""
    for sample in samples:
        if not isinstance(sample.image, ImageFile) or not isinstance(sample.masks, MaskFile):
            raise TypeError(f"{sample.name} is no pair of files")
        for name, path in (("images", sample.image.path), ("masks", sample.masks.path)):
            place = folder / name / f"{sample.name}{path.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())


def write_coco(folder: Path, split: Split, samples: Sequence[Sample]) -> None:
    """Write the part of a COCO file that some samples are of, and link their images."""
    place = folder / "images"
    place.mkdir(parents=True, exist_ok=True)
    images: list[Options] = []
    annotations: list[Options] = []
    for number, sample in enumerate(samples):
        image, masks = sample.image, sample.masks
        if not isinstance(image, ImageFile):
            raise TypeError(f"{sample.name} is no file")
        (place / f"{split}-{image.path.name}").symlink_to(image.path.resolve())
        rows, columns = masks.size()
        file = {"id": number, "file_name": f"{split}-{image.path.name}"}
        images.append({**file, "height": rows, "width": columns})
        annotations += [{**one, "image_id": number} for one in masks.objects]
    content = {"images": images, "annotations": annotations, "categories": []}
    (folder / f"{split}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main()
