"""Adapt without masks, and compare with the base and with training on masks.

    python benchmarks/wesam.py [CELL ...]     as nepal-all-0; all missing by default

DOMAIN-direct: the weights as they are. DOMAIN-VARIANT-SEED: adapted with boxes of the training
images' objects, by `self` (self-training alone), `anchor`, `contrast` (each beside it), `all`, or
`supervised` (the true masks, same updates, views and steps). `none` makes boxes by itself, `coarse`
asks by the box of a coarse outline, `norms` and `decoder` train other parts, `shared` has a teacher
of the student's own weights. `longself` and `longall` train three times as long, half as many
objects at a time: there a collapse has time to show.

litemedsam knows boxes alone. `clicked` is litemedsam with the adapter `points`, as it is;
`clicks` and `outlines` adapt it with 5 and 5 clicks and with coarse outlines as mask prompts,
`clickstrue` and `outlinestrue` train it on the true masks at the same prompts. None of their
domains is one that `points` was trained on. The adapter is the shipped one, or else that of the
cell points-0 of benchmarks/training.py.

Each domain has the same few images and steps for all variants. The figures `test` are of the epoch
that was chosen on validation, without labels but where the truth is learned; `test_last` is of the
last, which nobody chose. Both are the mean IoU of the test's objects, 16 of an image at most, by
the kind of prompt: `box` exact ones, `coarse` the boxes of coarse outlines, and of weights that
know these `points` and `outline`. So what was trained with one kind is tested with the others too.
`log` has the curves. A training that was cut off goes on where its last epoch ended. `memory`
compares the peaks of a step, beyond what was there before it.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
import yaml
from few_images import DOMAINS, Options, laid_out
from grid import run_grid
from torch import Tensor
from training import RUNS, Result, base, rounded, trained

from samdomain.adapter_file.shipped import find_adapter, shipped
from samdomain.cache import LatestSam
from samdomain.metrics import iou_score
from samdomain.recipes import Recipe, WeakPrompts
from samdomain.recipes.answering import score_masks
from samdomain.sam import SamLike
from samdomain.training.calibrate import Probe
from samdomain.training.command import Command, checkpoints
from samdomain.training.dataset import collate, read_item
from samdomain.training.epoch_log import read_csv
from samdomain.training.model import adapted as load
from samdomain.training.sample import Sample

EPOCHS = 6  # of eight steps of eight prompts each
LONG = 18
SEEDS = (0, 1, 2)
MOST = 16  # objects of a test image

VARIANTS: dict[str, Options] = {
    "self": {"learning": {"anchor": 0.0, "contrast": 0.0}, "collapse": None},
    "anchor": {"learning": {"contrast": 0.0}},
    "contrast": {"learning": {"anchor": 0.0}, "collapse": None},
    "all": {},
    "supervised": {
        "supervised": True,
        "learning": {"anchor": 0.0, "contrast": 0.0},
    },
    "shared": {"momentum": 0.0},
    "none": {"asking": {"kind": "none"}},
    "coarse": {"asking": {"kind": "polygon", "polygon_as": "box"}},
    "norms": {"tuning": {"injections": [], "parts": ["encoder.norms", "decoder.norms"]}},
    "decoder": {"tuning": {"injections": [], "parts": ["decoder"]}},
    "longself": {
        "learning": {"anchor": 0.0, "contrast": 0.0},
        "collapse": None,
        "asking": {"most": 2},
    },
    "longall": {"asking": {"most": 2}},
    "clicks": {"asking": {"kind": "points"}},
    "outlines": {"asking": {"kind": "polygon"}},
}
for kind in ("clicks", "outlines"):
    VARIANTS[f"{kind}true"] = {**VARIANTS["supervised"], **VARIANTS[kind]}
UNSEEN = ("nwpu-vhr10", "kvasir-seg")  # by the adapter `points`
CLICKED = ("clicks", "outlines", "clickstrue", "outlinestrue")  # from the adapter `points`

KINDS = {
    "box": WeakPrompts(most=MOST),
    "coarse": WeakPrompts("polygon", "box", most=MOST),
    "points": WeakPrompts("points", most=MOST),
    "outline": WeakPrompts("polygon", most=MOST),
}


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    names = [f"nepal-{v}-{s}" for s in SEEDS for v in ("self", "anchor", "contrast", "all")]
    names += [f"nepal-supervised-{s}" for s in SEEDS]
    others = [domain for domain in DOMAINS if domain != "nepal"]
    names += [f"{domain}-{variant}-0" for domain in others for variant in ("all", "supervised")]
    names += ["nepal-shared-0", "nepal-none-0", "nepal-coarse-0"]
    names += ["dsb2018-norms-0", "dsb2018-decoder-0", "nepal-longself-0", "nepal-longall-0"]
    cells = {f"{domain}-direct": partial(direct, domain) for domain in DOMAINS}
    cells |= {"memory": memory, **{name: partial(adapted, name) for name in names}}
    # Last, since they need an adapter that somebody has to train first.
    cells |= {f"{domain}-clicked": partial(clicked, domain) for domain in UNSEEN}
    taught = [f"{domain}-{variant}-0" for domain in UNSEEN for variant in CLICKED]
    run_grid("wesam", cells | {name: partial(adapted, name) for name in taught})


def direct(domain: str) -> Result:
    """Measure the weights as they are."""
    return base((f"--config={config(domain, 'all')}",), mean_iou)


def clicked(domain: str) -> Result:
    """Measure the weights that learned clicks, as they are."""
    model = load(Command("test", (f"--config={config(domain, 'clicks')}",)), points())
    return {"test": mean_iou(model.recipe, model.sam, model.data.found("test").samples)}


def points() -> Path:
    """Return the folder of the adapter `points`."""
    cell = RUNS / "points-0" / "adapter"
    return find_adapter("points") if "points" in shipped() or not cell.exists() else cell


def memory() -> Result:
    """Measure the peak of a step's memory, beside that of training on true masks."""
    # Each in a process of its own: what one has freed would not be counted to the next.
    peaks: dict[str, int] = {}
    for name in ("supervised", "all"):
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            peaks[name] = alone.submit(peak, name).result()
    megabytes = {name: round(one / 2**20, 1) for name, one in peaks.items()}
    return {"megabytes": megabytes, "ratio": round(peaks["all"] / peaks["supervised"], 3)}


def peak(variant: str) -> int:
    """Return the bytes that a step of two images takes, the larger of two."""
    command = Command("fit", (f"--config={config('nepal', variant)}",))
    built = command.build(0)
    built.module.start(0)
    probe = Probe(built, command.device(), None)
    return max(probe(2) for _ in range(2))


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
    """Return the mean IoU of objects by each kind of prompt that the model knows."""
    kinds = {name: one for name, one in KINDS.items() if known(one) <= sam.spec.prompts}
    scores: dict[str, list[Tensor]] = {name: [] for name in kinds}
    seen = LatestSam(sam)
    for sample in samples:
        batch = collate([read_item(sample)])
        for name, asking in kinds.items():
            asked = asking(batch, sam.spec, torch.Generator().manual_seed(0))
            if asked.masks:
                with torch.no_grad():
                    answers = recipe.answer(seen, batch.encoded(seen), asked.prompts)
                scores[name].append(score_masks(iou_score, answers, asked.masks))
    found = {name: torch.cat(own) for name, own in scores.items()}
    return {
        "objects": len(found["box"]),
        **rounded({name: float(own.mean()) for name, own in found.items()}),
    }


def known(asking: WeakPrompts) -> set[str]:
    """Return what kind of prompt a model has to know to be asked so."""
    outline = "mask" if asking.polygon_as == "mask" else "box"
    return {{"box": "box", "points": "point"}.get(asking.kind, outline)}


def config(domain: str, variant: str) -> Path:
    """Write the config of a variant, and lay out its data where they are not."""
    folder = laid_out(domain)
    objects = DOMAINS[domain]
    source = {
        "class_path": f"samdomain.training.{'coco.Coco' if objects is None else 'folders.Folders'}",
        "init_args": {} if objects is None else {"objects": objects},
    }
    values = {
        "model": {
            "recipe": {"name": "wesam", "options": VARIANTS[variant]},
            "base": {
                "weights": "litemedsam",
                "adapter": str(points()) if variant in CLICKED else None,
            },
        },
        "data": {"folder": str(folder), "source": source, "batch_size": 2, "views": 1},
        "trainer": {
            "max_epochs": LONG if variant.startswith("long") else EPOCHS,
            "gradient_clip_val": 1.0,
            "accelerator": "cpu",
            "enable_progress_bar": False,
        },
    }
    path = folder.parent / f"{domain}-{variant}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


if __name__ == "__main__":
    main()
