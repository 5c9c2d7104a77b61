import gc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from samdomain import Prompts, decode, encode, load_sam
from samdomain.cache import CachedSam, cache_features
from samdomain.cache.encoder import CachedEncoder, first_trained
from samdomain.errors import InputError
from samdomain.lora import LoRA
from samdomain.modules import freeze
from samdomain.sam import Sam
from samdomain.sam.stepwise import StepwiseEncoder


def images(count: int = 2, seed: int = 0) -> Tensor:
    return torch.rand((count, 3, 48, 64), generator=torch.Generator().manual_seed(seed)) * 255


def trainable(*patterns: str) -> Sam:
    sam = load_sam("tiny")
    freeze(sam)
    freeze(sam, patterns, frozen=False)
    return sam


class Counting:
    """Count how often a module runs."""

    def __init__(self, module: nn.Module) -> None:
        self.runs = 0
        module.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.runs += 1


def stem(sam: Sam) -> nn.Module:
    assert isinstance(sam.image_encoder, StepwiseEncoder)
    return sam.image_encoder.get_submodule("patch_embed")


@pytest.mark.parametrize("trained", ["mask_decoder.*", "image_encoder.stages.3.*"])
def test_the_cached_encoder_gives_the_encoders_embedding(trained: str, tmp_path: Path) -> None:
    """The first and the second look agree with the model, up to half precision."""
    sam = trainable(trained)
    expected = encode(sam, images()).main
    cached = cache_features(sam, tmp_path)
    first, second = (encode(cached, images()).main for _ in range(2))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, expected, rtol=1e-2, atol=1e-2)


def test_the_second_epoch_never_runs_the_frozen_part(tmp_path: Path) -> None:
    """The stem runs once for each image, whatever the batches."""
    sam = trainable("mask_decoder.*")
    counter = Counting(stem(sam))
    cached = cache_features(sam, tmp_path)
    encode(cached, images())
    assert counter.runs == len(images())
    encode(cached, images().flip(0))
    encode(cached, images()[:1])
    assert counter.runs == len(images())


def test_gradients_reach_what_trains_behind_the_cut(tmp_path: Path) -> None:
    """The rest of the encoder trains from stored features."""
    sam = trainable("image_encoder.stages.3.*", "mask_decoder.*")
    cached = cache_features(sam, tmp_path)
    for _ in range(2):
        embedding = encode(cached, images())
        decode(
            cached, embedding, Prompts(boxes=torch.tensor([[4.0, 4, 40, 40]]))
        ).low_res.sum().backward()
        grads = [one.grad for name, one in sam.named_parameters() if "stages.3.downsample" in name]
        assert all(grad is not None for grad in grads)
        sam.zero_grad()


def test_the_cut_is_before_the_first_trained_step() -> None:
    """It moves with what trains; with nothing trained in the encoder it is behind it."""
    sam = trainable("mask_decoder.*")
    assert isinstance(sam.image_encoder, StepwiseEncoder)
    steps = sam.image_encoder.steps()
    assert first_trained(steps) == len(steps)
    freeze(sam, ["image_encoder.neck.*"], frozen=False)
    assert first_trained(steps) == len(steps) - 1
    freeze(sam, ["image_encoder.patch_embed.*"], frozen=False)
    assert first_trained(steps) == 0


def test_other_weights_are_never_mistaken(tmp_path: Path) -> None:
    """A frozen weight that changes in place gives new features."""
    sam = trainable("mask_decoder.*")
    cached = cache_features(sam, tmp_path)
    before = encode(cached, images()).main
    with torch.no_grad():
        next(stem(sam).parameters()).mul_(2)
    after = encode(cached, images()).main
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, encode(sam, images()).main, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("one", "other", "runs"),
    [
        (LoRA(("decoder.q",), rank=2), LoRA(("decoder.v",), rank=4), 1),
        (LoRA(("encoder.q",), last=1), LoRA(("encoder.mlp",), rank=2, last=1), 1),
        (LoRA(("encoder.conv",)), LoRA(("encoder.conv",), alpha=8), 2),
    ],
    ids=["behind the encoder", "behind the cut", "before the cut"],
)
def test_only_injections_before_the_cut_matter(
    one: LoRA, other: LoRA, runs: int, tmp_path: Path
) -> None:
    """Tunings that differ behind it share their features."""
    total = 0
    for injection in (one, other):
        sam = load_sam("tiny")
        injection(sam)
        freeze(sam)
        freeze(sam, ["image_encoder.stages.3.blocks.*", "mask_decoder.*"], frozen=False)
        counter = Counting(stem(sam))
        encode(cache_features(sam, tmp_path), images(1))
        total += counter.runs
    assert total == runs


@pytest.mark.parametrize("last", [1, None], ids=["end", "everywhere"])
def test_a_stage_that_leaves_the_end_alone_finds_its_features(
    last: int | None, tmp_path: Path
) -> None:
    """What was injected into the end is run again; into all of it, the whole is kept anew."""
    sam = load_sam("tiny")
    LoRA(("encoder.q", "encoder.conv") if last is None else ("encoder.mlp",), last=last)(sam)
    counter = Counting(stem(sam))
    expected = [encode(cache_features(sam, tmp_path), images(1)).main.detach() for _ in range(2)]
    assert counter.runs == 1
    freeze(sam)
    found = [encode(cache_features(sam, tmp_path), images(1)).main for _ in range(2)]
    assert counter.runs == (1 if last else 2)
    for one in (*found, expected[1]):
        torch.testing.assert_close(one, expected[0], rtol=1e-2, atol=1e-2)


def test_a_weight_in_anothers_place_in_memory_is_not_taken_for_it(tmp_path: Path) -> None:
    """A new tensor may get the identity of one that was collected."""
    sam = trainable("mask_decoder.*")
    cached = cache_features(sam, tmp_path)
    convolution = sam.get_submodule("image_encoder.neck.0")
    for seed in range(5):
        encode(cached, images())
        convolution.weight = None
        gc.collect()
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn((256, 32, 1, 1), generator=generator)
        convolution.weight = nn.Parameter(weight, requires_grad=False)
        expected = encode(sam, images()).main
        torch.testing.assert_close(encode(cached, images()).main, expected, rtol=1e-2, atol=1e-2)


def test_a_weight_whose_memory_was_exchanged_is_looked_at_again(tmp_path: Path) -> None:
    """As `Module.to` does it: the same parameter, and no write to it that counts."""
    sam = trainable("mask_decoder.*")
    cached = cache_features(sam, tmp_path)
    before = encode(cached, images()).main
    convolution = sam.get_submodule("image_encoder.neck.0")
    convolution.weight.data = convolution.weight.data.flip(0)
    expected = encode(sam, images()).main
    assert not torch.allclose(before, expected, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(encode(cached, images()).main, expected, rtol=1e-2, atol=1e-2)


def test_unchanged_weights_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To take the digest of a ViT-H takes seconds; a batch must not."""
    cached = cache_features(trainable("mask_decoder.*"), tmp_path)
    measured: list[object] = []
    measure = CachedEncoder._measure
    monkeypatch.setattr(
        CachedEncoder, "_measure", lambda *given: measured.append(given) or measure(*given)
    )
    for _ in range(3):
        encode(cached, images())
    assert len(measured) == 1


def test_maps_come_at_the_strides_that_were_asked_for(tmp_path: Path) -> None:
    """None by default; those asked for equal the encoder's own."""
    sam = trainable("mask_decoder.*")
    expected = encode(sam, images()).levels
    stride = min(expected)
    assert encode(cache_features(sam, tmp_path), images()).levels == {}
    levels = encode(cache_features(sam, tmp_path, strides=[stride]), images()).levels
    assert list(levels) == [stride]
    torch.testing.assert_close(levels[stride], expected[stride], rtol=1e-2, atol=1e-2)


def test_a_stride_that_the_encoder_lacks_is_refused(tmp_path: Path) -> None:
    """The message names the strides that there are."""
    with pytest.raises(InputError, match=r"no map at stride \[7\]: it has"):
        encode(cache_features(load_sam("tiny"), tmp_path, strides=[7]), images())


def test_an_encoder_without_steps_is_refused(tmp_path: Path) -> None:
    """The message names the class to inherit from."""
    sam = load_sam("tiny")
    sam.image_encoder = nn.Identity()  # type: ignore[assignment]
    with pytest.raises(InputError, match="StepwiseEncoder"):
        cache_features(sam, tmp_path)


def test_what_is_kept_does_not_depend_on_the_callers_precision(tmp_path: Path) -> None:
    """Under autocast the frozen part still runs in float32."""
    sam = trainable("mask_decoder.*")
    with torch.autocast("cpu", torch.bfloat16):
        kept = encode(cache_features(sam, tmp_path / "a"), images()).main
    assert torch.equal(kept, encode(cache_features(sam, tmp_path / "b"), images()).main)


def _encode_in_process(folder: str, seed: int) -> Tensor:
    cached: CachedSam = cache_features(trainable("mask_decoder.*"), folder)
    with torch.no_grad():
        return encode(cached, images(4, seed)).main


def test_processes_share_a_folder(tmp_path: Path) -> None:
    """Two processes that write the same features at once get the same results."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        one, other = pool.map(_encode_in_process, [str(tmp_path)] * 2, [0, 0])
    assert torch.equal(one, other)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4
