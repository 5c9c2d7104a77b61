"""Measure what each way of adapting a SAM costs: values, bytes, memory and time of a step.

    python benchmarks/adaptation.py [CELL ...]     as litemedsam-steps; by default all missing

A step encodes one image, decodes one box, and takes binary cross entropy, gradients and AdamW.
`BASE-steps` times all ways alternately in one process and gives ratios; `BASE-memory` gives each a
process of its own and reads its peak; `BASE-frozen` times the frozen part before the encoder's last
block, which fills the cache of features, in torch and in OpenVINO. ViT-B has random weights and 512
px: its speed does not depend on them. Each cell is a file in benchmarks/results/adaptation.
"""

import copy
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from grid import run_grid
from torch.nn.functional import binary_cross_entropy_with_logits

from samdomain import Prompts, decode, encode, load_sam
from samdomain.acceleration import FastSteps
from samdomain.adapter_file import save_adapter
from samdomain.adapters import AdaptFormer
from samdomain.backbones import BACKBONES
from samdomain.cache import cache_features
from samdomain.cache.encoder import first_trained
from samdomain.lora import LoRA
from samdomain.modules import freeze
from samdomain.policies import train_parts
from samdomain.prompt_tokens import PromptTokens
from samdomain.sam import Sam, SamLike
from samdomain.sam.stepwise import Features, StepwiseEncoder
from samdomain.spectral import Spectral

Adapt = Callable[[Sam], Any]
REPEATS = 3


def full(sam: Sam) -> None:
    """Train everything."""
    sam.requires_grad_(True)


def decoder_only(sam: Sam) -> None:
    """Train the mask decoder."""
    freeze(sam)
    train_parts(sam, ["decoder"])


def late_lora(sam: Sam, last: int) -> None:
    """Put LoRA into the last blocks."""
    LoRA(last=last)(sam)


def ways(sam: Sam) -> dict[str, Adapt]:
    """Return the ways by name; the last quarter of a TinyViT is its last stage."""
    last = 3 if sam.spec.name.startswith("sam_vit") else 2
    return {
        "full": full,
        "lora": LoRA(),
        "lora_last_quarter": partial(late_lora, last=last),
        "decoder": decoder_only,
        "spectral": Spectral(),
        "adaptformer": AdaptFormer(),
        "prompt_tokens": PromptTokens(),
    }


CACHED = ("lora_last_quarter", "decoder")


def base(name: str) -> Sam:
    """Return litemedsam, or a ViT-B of random weights at 512 px."""
    if name == "litemedsam":
        return load_sam(name)
    torch.manual_seed(0)
    backbone = BACKBONES[name]
    return backbone.build(backbone.spec.at(512)).eval()


class Step:
    """One training step on one image."""

    def __init__(self, sam: Sam, view: SamLike | None = None, passes: int = 1) -> None:
        self.sam, self.view, self.passes = sam, view or sam, passes
        trained = [one for one in sam.parameters() if one.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
        size = sam.spec.input_size
        generator = torch.Generator().manual_seed(0)
        self.image = torch.rand((3, size, size), generator=generator) * 255
        self.target = torch.zeros(1, 1, sam.spec.mask_size, sam.spec.mask_size)
        self.target[..., 40:90, 40:90] = 1
        self.box = Prompts(boxes=torch.tensor([[0.2, 0.2, 0.6, 0.6]]) * size)

    def __call__(self) -> float:
        """Run the step and return the loss."""
        embedding = encode(self.view, self.image)
        loss = torch.zeros(())
        for _ in range(self.passes):
            low_res = decode(self.view, embedding, self.box).low_res
            loss = loss + binary_cross_entropy_with_logits(low_res, self.target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def steps(name: str) -> dict[str, Any]:
    """Time the ways alternately, and count what trains and what a file of it takes."""
    plain = base(name)
    runs: dict[str, Step] = {}
    facts: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for way, adapt in ways(plain).items():
            sam = copy.deepcopy(plain)
            adapt(sam)
            facts[way] = count(sam, Path(folder) / way)
            runs[way] = Step(sam)
            if way in CACHED:
                runs[f"{way}_cached"] = Step(sam, cache_features(sam, Path(folder) / "features"))
            if way == "decoder":
                runs["decoder_two_passes"] = Step(sam, passes=2)
                view = cache_features(sam, Path(folder) / "features")
                runs["decoder_two_passes_cached"] = Step(sam, view, passes=2)
        seconds = alternate(runs)
    for way, value in seconds.items():
        facts.setdefault(way, {})["step_s"] = round(value, 3)
        facts[way]["time_of_lora"] = round(value / seconds["lora"], 3)
    return {"ways": facts, "ratios": ratios(seconds)}


def frozen(name: str) -> dict[str, Any]:
    """Time what comes before the last block, as it is and as `FastSteps` runs it."""
    sam = base(name)
    LoRA(last=1)(sam)
    encoder = sam.image_encoder
    if not isinstance(encoder, StepwiseEncoder):
        raise TypeError(f"{name} does not run by steps")
    encoder.to(memory_format=torch.channels_last)
    steps = encoder.steps()
    before = steps[: first_trained(steps)]
    image = torch.rand(1, 3, sam.spec.input_size, sam.spec.input_size)
    start = time.perf_counter()
    fast = FastSteps(before, image)
    converted = time.perf_counter() - start

    def plain() -> None:
        with torch.no_grad():
            features: Features = (image, {})
            for step in before:
                features = step.run(features)

    seconds = alternate({"torch": plain, "openvino": partial(fast, image)})
    return {
        "conversion_s": round(converted, 1),
        **{f"{engine}_s": round(value, 3) for engine, value in seconds.items()},
        "torch to openvino": round(seconds["torch"] / seconds["openvino"], 2),
    }


def ratios(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the figures that have a bar."""
    quarter, decoder, two = "lora_last_quarter", "decoder", "decoder_two_passes"
    return {
        "last quarter to lora": round(seconds[quarter] / seconds["lora"], 3),
        "last quarter cached to lora": round(seconds[f"{quarter}_cached"] / seconds["lora"], 3),
        "decoder uncached to cached": round(seconds[decoder] / seconds[f"{decoder}_cached"], 2),
        "two passes uncached to cached": round(seconds[two] / seconds[f"{two}_cached"], 2),
    }


def count(sam: Sam, folder: Path) -> dict[str, Any]:
    """Count the values that train, and the bytes of their adapter."""
    values = sum(one.numel() for one in sam.parameters() if one.requires_grad)
    save_adapter(sam, folder)
    return {
        "values": values,
        "percent": round(100 * values / sum(one.numel() for one in sam.parameters()), 3),
        "file_bytes": sum(path.stat().st_size for path in folder.glob("*.safetensors")),
    }


def alternate(runs: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median seconds of each call, taken in turn.

    A step in training follows one of its own kind: in each turn, one goes before those that count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, call in runs.items():
            call()
            for _ in range(REPEATS):
                start = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - start)
    return {name: median(taken) for name, taken in seconds.items()}


def memory(name: str) -> dict[str, Any]:
    """Read the peak memory of each way in a process of its own, over that of the loaded model."""
    plain = base(name)
    names = [*ways(plain), *(f"{way}_cached" for way in CACHED)]
    found: dict[str, float] = {}
    for way in names:
        command = [sys.executable, __file__, "--peak", name, way]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[way] = json.loads(printed.splitlines()[-1])
    share = found["lora_last_quarter"] / found["lora"]
    return {"peak_mb": found, "last quarter to lora": round(share, 3)}


def peak(name: str, way: str) -> float:
    """Return the MB that two steps take at most beyond the loaded model."""
    sam = base(name)
    adapt = ways(sam)[way.removesuffix("_cached")]
    adapt(sam)
    with tempfile.TemporaryDirectory() as folder:
        view = cache_features(sam, folder) if way.endswith("_cached") else None
        if view is not None:  # the first epoch runs the frozen part, the others count
            step = Step(sam, view)
            code = [sys.executable, __file__, "--fill", name, way, folder]
            subprocess.run(code, check=True, capture_output=True)
        else:
            step = Step(sam)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        step()
        step()
    return round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1)


def fill(name: str, way: str, folder: str) -> None:
    """Run the frozen part once, for a process that measures the second epoch."""
    sam = base(name)
    ways(sam)[way.removesuffix("_cached")](sam)
    with torch.no_grad():
        encode(cache_features(sam, folder), Step(sam).image)


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    if sys.argv[1:2] == ["--peak"]:
        print(json.dumps(peak(*sys.argv[2:])))
    elif sys.argv[1:2] == ["--fill"]:
        fill(*sys.argv[2:])
    else:
        bases = ("litemedsam", "sam_vit_b")
        cells = {f"{one}-steps": partial(steps, one) for one in bases}
        cells |= {f"{one}-memory": partial(memory, one) for one in bases}
        run_grid("adaptation", cells | {f"{one}-frozen": partial(frozen, one) for one in bases})


if __name__ == "__main__":
    main()
