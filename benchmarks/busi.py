"""Find lesions in breast ultrasound by `sam_sp`, beside MONAI's U-Net of the same minutes.

    python benchmarks/busi.py [CELL ...]     as sam_sp-0; all missing by default

Five folds as in the data: fold K is the test, fold K + 1 chooses the epoch, the other three train.
Both networks see the same images at 256 pixels, each scaled by its own values, and their mirror
images: no other view is one that a probe makes, which is at the top. Normal images train too, or
nobody could say what a network does without a lesion. Both compute in bf16 where the processor has
it, in training alone.

`features` sends all images through the frozen part of the encoder, once for all folds. The U-Net
(random weights, nothing was downloaded) has the seconds that `sam_sp` of the same fold took and
those of `features` on top, as if each fold had had to compute them alone; ten minutes at most.
`step` times a step of both. `lesions` are means over images with a lesion; `false_alarms` is the
share of normal images with more than 1% of their area marked. `summary` joins the folds. A fold
that was cut off begins anew. Runs are in benchmarks/runs, which is not committed.
"""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from busi_folds import FOLDS, laid_out
from grid import precision, read_cell, run_grid
from monai.losses import DiceFocalLoss
from monai.networks.nets import UNet
from real_data import FOLDER
from torch import Tensor, nn

from samdomain.metrics import dice_score, iou_score
from samdomain.recipes import total
from samdomain.sam import Frame
from samdomain.sam.encoding import normalise
from samdomain.sam.frame import resize_image
from samdomain.sam.spec import SamSpec
from samdomain.segmenter import load_segmenter
from samdomain.training.command import Built, Command
from samdomain.training.dataset import collate, read_item
from samdomain.training.fit import fit
from samdomain.training.sample import Sample

RUNS = Path(__file__).parent / "runs" / "busi"
LIMIT_S = 600
# An image takes a step 1.5 s on one thread, features kept: two epochs of some 180 images end within
# the limit even there. Steps of two images instead of four make twice as many of them, as many as
# an epoch of polyps has, which that recipe learns from.
EPOCHS, BATCH = 2, 2
# MONAI's own size for planes; large enough for 90 images, small enough for a step a second.
CHANNELS, STRIDES = (16, 32, 64, 128, 256), (2, 2, 2, 2)
UNET_BATCH, UNET_RATE = 8, 1e-3
ALARM = 0.01  # share of an image's area

Result = dict[str, Any]
Look = Callable[[Tensor], Tensor]
"""Give the mask (H, W), bool, of an image (3, H, W), 0 to 255."""


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    cells: dict[str, Callable[[], Result]] = {"features": features, "step": step}
    for fold in range(FOLDS):
        cells[f"sam_sp-{fold}"] = partial(sam_sp, fold)
        cells[f"unet-{fold}"] = partial(unet, fold)
    run_grid("busi", cells | {"summary": summary})


def features() -> Result:
    """Fill the cache of features, and tell how long that takes."""
    built, seconds = built_for(0), 0.0
    built.module.start(0)
    view, number = built.module.view(), 0
    for fold in range(FOLDS):
        for split in ("train", "val"):
            for sample in built_for(fold).data.found(split).samples:
                batch = collate([read_item(sample)])
                began = time.monotonic()
                with torch.no_grad():
                    batch.encoded(view)
                seconds, number = seconds + time.monotonic() - began, number + 1
    return {"asked": number, "seconds": round(seconds, 1)}


def step() -> Result:
    """Time a step of both networks, the features of its images kept already."""
    built = built_for(0)
    built.module.start(0)
    view, stage = built.module.view(), built.module.stage
    samples = built.data.found("train").samples[: built.data.batch_size]
    batch = collate([read_item(one) for one in samples])

    def ours() -> None:
        with in_precision():
            loss = total(stage.loss(stage.forward(view, batch), batch))
        loss.backward()

    network, criterion = build_unet(0), DiceFocalLoss(sigmoid=True)
    images, masks = squares(built.module.sam.spec, samples * (UNET_BATCH // len(samples)))

    def theirs() -> None:
        with in_precision():
            loss = criterion(network(images).float(), masks)
        loss.backward()

    times = {name: fastest(one) for name, one in (("sam_sp", ours), ("unet", theirs))}
    per_epoch = math.ceil(len(built.data.found("train").samples) / built.data.batch_size)
    return {
        "step_s": {name: round(one, 3) for name, one in times.items()},
        "steps_in_the_limit": {name: int(LIMIT_S / one) for name, one in times.items()},
        "steps_of_sam_sp": EPOCHS * per_epoch,
    }


def fastest(act: Callable[[], None], rounds: int = 4) -> float:
    """Return the seconds of the fastest round but the first."""
    seconds = []
    for _ in range(rounds):
        began = time.monotonic()
        act()
        seconds.append(time.monotonic() - began)
    return min(seconds[1:])


def sam_sp(fold: int) -> Result:
    """Train an adapter and measure it."""
    folder, began = RUNS / f"sam_sp-{fold}", time.process_time()
    shutil.rmtree(folder, ignore_errors=True)
    told = dict(fit([*words(fold), f"--out={folder}", "--half"]).summary())
    cpu = time.process_time() - began
    segmenter, _ = load_segmenter(folder / "adapter")

    def look(image: Tensor) -> Tensor:
        return segmenter.probabilities(image[None])[0, 0] > 0.5  # noqa: PLR2004 - as likely as not

    return {
        **{key: told[key] for key in ("trained values", "epochs", "seconds")},
        "cpu_seconds": round(cpu, 1),
        "val": {key: round(one, 4) for key, one in told["val"].items()},
        "test": measured(look, built_for(fold).data.found("test").samples),
    }


def unet(fold: int, seconds: float | None = None) -> Result:
    """Train MONAI's U-Net for as long, and measure it."""
    cells = (read_cell("busi", name) for name in (f"sam_sp-{fold}", "features"))
    seconds = seconds or min(LIMIT_S, sum(cell["seconds"] for cell in cells))
    built = built_for(fold)
    spec, data = built.module.sam.spec, built.data
    network = build_unet(fold)
    look = partial(look_by, network, spec)
    images, masks = squares(spec, data.found("train").samples)
    val = pairs(data.found("val").samples)
    best, kept, epochs = -1.0, network.state_dict(), 0
    optimizer = torch.optim.AdamW(network.parameters(), UNET_RATE)
    criterion = DiceFocalLoss(sigmoid=True)
    began = time.monotonic()
    while (spent := time.monotonic() - began) < seconds:
        network.train()
        for rows in torch.randperm(len(images)).split(UNET_BATCH):
            for group in optimizer.param_groups:  # a cosine, as `samdomain fit` has
                group["lr"] = UNET_RATE * (1 + math.cos(math.pi * min(1, spent / seconds))) / 2
            optimizer.zero_grad()
            with in_precision():
                loss = criterion(network(images[rows]).float(), masks[rows])
            loss.backward()
            optimizer.step()
            spent = time.monotonic() - began
        epochs += 1
        dice = fmean(float(dice_score(look(image), true)) for image, true in val)
        if dice > best:
            best, kept = dice, {k: one.clone() for k, one in network.state_dict().items()}
    network.load_state_dict(kept)
    return {
        "trained values": sum(one.numel() for one in network.parameters()),
        "epochs": epochs,
        "seconds": round(time.monotonic() - began, 1),
        "val": {"dice": round(best, 4)},
        "test": measured(look, data.found("test").samples),
    }


def summary() -> Result:
    """Join the folds: all images of a kind count alike."""
    result: Result = {}
    for name in ("sam_sp", "unet"):
        tests = [read_cell("busi", f"{name}-{fold}")["test"] for fold in range(FOLDS)]
        lesions, normals = (
            [one[kind]["images"] for one in tests] for kind in ("lesions", "normals")
        )
        result[name] = {
            key: round(weighted([one["lesions"][key] for one in tests], lesions), 4)
            for key in ("dice", "iou")
        } | {
            "false_alarms": round(
                weighted([t["normals"]["false_alarms"] for t in tests], normals), 4
            )
        }
    ahead = result["sam_sp"]["dice"] - result["unet"]["dice"]
    return {**result, "dice_points_ahead": round(100 * ahead, 2), "bar": 3.0}


def weighted(values: Sequence[float], numbers: Sequence[int]) -> float:
    """Return the mean over images of folds' means."""
    return float(np.average(values, weights=numbers))


def measured(look: Look, samples: Sequence[Sample]) -> Result:
    """Return the figures of a test, lesions and normal images apart."""
    dice, iou, shares = [], [], []
    for image, true in pairs(samples):
        found = look(image)
        if true.any():
            dice.append(float(dice_score(found, true)))
            iou.append(float(iou_score(found, true)))
        else:
            shares.append(float(found.float().mean()))
    alarms = [share > ALARM for share in shares]
    return {
        "lesions": {
            "images": len(dice),
            "dice": round(fmean(dice), 4),
            "iou": round(fmean(iou), 4),
        },
        "normals": {"images": len(shares), "false_alarms": round(fmean(alarms), 4)},
    }


def pairs(samples: Sequence[Sample]) -> list[tuple[Tensor, Tensor]]:
    """Read images (3, H, W), 0 to 255, with the union of their masks (H, W)."""
    items = [read_item(one) for one in samples]
    return [(one.image.float(), one.masks.bool().any(dim=0)) for one in items]


def build_unet(seed: int) -> nn.Module:
    """Return MONAI's U-Net with random weights."""
    torch.manual_seed(seed)
    return UNet(2, 3, 1, CHANNELS, STRIDES, num_res_units=2)


def squares(spec: SamSpec, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Return images (N, 3, S, S) as SAM's encoder sees them, with their masks (N, 1, S, S)."""
    images, masks = [], []
    for image, true in pairs(samples):
        frame = frame_of(spec, image)
        size = frame.resized(0)
        images.append(frame.pad(normalise(spec, resize_image(image, size)), 0))
        masks.append(frame.pad(resize_image(true[None].float(), size).round(), 0))
    return torch.stack(images), torch.stack(masks)


@torch.no_grad()
def look_by(network: nn.Module, spec: SamSpec, image: Tensor) -> Tensor:
    """Return the U-Net's mask in pixels of the image."""
    frame = frame_of(spec, image)
    square = frame.pad(normalise(spec, resize_image(image, frame.resized(0))), 0)
    return frame.to_original(network.eval()(square[None])[0], 0)[0] > 0


def frame_of(spec: SamSpec, image: Tensor) -> Frame:
    """Return where an image lies in the square."""
    return Frame(((image.shape[1], image.shape[2]),), spec.input_size, spec.padding)


def in_precision() -> AbstractContextManager[Any]:
    """Return what a training of `samdomain fit` computes in."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision() == "bf16-mixed")


def built_for(fold: int) -> Built:
    """Return module and data of a fold; nothing is adapted yet."""
    return Command("fit", words(fold)).build(fold)


def words(fold: int) -> list[str]:
    """Return what `samdomain fit` is told: the recipe as we advise it, as polyps are trained."""
    return [
        "--config=polyp",
        f"--data.folder={laid_out(FOLDER / 'busi', RUNS / f'fold{fold}', fold)}",
        f"--trainer.max_epochs={EPOCHS}",
        f"--data.batch_size={BATCH}",
        "--data.source=null",  # images without a lesion are among these
        "--data.views=1",  # mirror images are in the folder; no probe turns what it sees
        f"--trainer.precision={precision()}",
        "--trainer.max_time=00:00:10:00",
        f"--seeds={fold}",
        "--model.card.summary=Finds lesions in breast ultrasound without prompts.",
        "--model.card.classes=[lesion]",
        "--model.card.modality=US",
        "--model.card.licence=as its training data",
        "--model.card.data=[{name: BUSI subset, licence: Creative Commons}]",
    ]


if __name__ == "__main__":
    main()
