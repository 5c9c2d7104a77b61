from dataclasses import replace

import pytest
import torch
from torch import Tensor

from samdomain import accelerate, encode, load_sam
from samdomain.adapter_file import load_adapter, save_adapter
from samdomain.change import ChangeHead, detect_change
from samdomain.errors import InjectionError, InputError, MergeError
from samdomain.injection import merge
from samdomain.lora import LoRA
from samdomain.sam import Sam
from samdomain.sam.pyramid import level_strides
from samdomain.testing import check_injection, move_trained

SMALL = ChangeHead(strides=(), widths=(8, 8), width=8, hidden=8, blocks=1)
HEADS = [
    SMALL,
    replace(SMALL, strides=(4, 8), norm="batch", joining="ordered", normalised=False),
    replace(SMALL, widths=(8, 8, 8), every=True),
    replace(SMALL, latents=0),
]


@pytest.fixture(params=HEADS, ids=["small", "official", "every", "plain"])
def head(request: pytest.FixtureRequest) -> ChangeHead:
    """Heads that differ in each of their choices."""
    return request.param


@pytest.fixture
def images() -> Tensor:
    """Two pairs, the dates of each beside one another."""
    return torch.rand(4, 3, 48, 64) * 255


def headed(head: ChangeHead) -> Sam:
    sam = load_sam("tiny")
    head(sam)
    return move_trained(sam)


def ask(sam: Sam) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    dates = torch.rand((2, 3, 48, 64), generator=generator) * 255
    return detect_change(sam, encode(sam, dates)).low_res


def test_heads_keep_to_the_contract(sam: Sam, head: ChangeHead) -> None:
    """Prompts are answered as before; the head trains, is copied, and is never merged."""
    check_injection(sam, head, ask=ask)


def test_each_pair_has_a_map(head: ChangeHead, images: Tensor) -> None:
    """Logits have the resolution of the encoder's input, latents that of the finest map."""
    sam = headed(head)
    answer = detect_change(sam, encode(sam, images))
    assert answer.low_res.shape == (2, 1, 64, 64)
    assert answer.logits.shape == (2, 1, 48, 64)
    assert answer.iou.isnan().all()
    if not head.latents:
        assert answer.latents is None
    else:
        assert answer.latents is not None
        side = 64 // (head.strides or (2,))[0]
        assert answer.latents.shape == (2, 2, 8, side, side)


def test_pairs_of_a_batch_do_not_know_one_another(head: ChangeHead, images: Tensor) -> None:
    """Each is answered as if it were alone."""
    sam = headed(head).eval()
    together = detect_change(sam, encode(sam, images)).low_res
    alone = [detect_change(sam, encode(sam, images[i : i + 2])).low_res for i in (0, 2)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_order_matters_where_it_is_read(images: Tensor) -> None:
    """Unordered, swapped dates have the same answer; ordered, another one."""
    for joining, same in (("unordered", True), ("ordered", False)):
        sam = headed(replace(SMALL, joining=joining))
        answers = [
            detect_change(sam, encode(sam, dates)).low_res for dates in (images[:2], images[[1, 0]])
        ]
        assert torch.allclose(*answers, atol=1e-4) is same


def test_it_reads_what_it_names(images: Tensor) -> None:
    """Of the encoder's own maps the cache has to keep those that the head reads."""
    assert level_strides(headed(SMALL)) == (2,)
    sam = headed(replace(SMALL, strides=(4, 8)))
    assert level_strides(sam) == ()
    embedding = encode(sam, images)
    before = detect_change(sam, embedding).low_res
    bare = type(embedding)(embedding.main, {}, embedding.frame)
    torch.testing.assert_close(detect_change(sam, bare).low_res, before)


def test_coarse_encoders_are_read_from_stride_four(vit: Sam, images: Tensor) -> None:
    """A ViT has one map, at stride 16: finer ones are made of it."""
    SMALL(vit)
    assert vit.mask_decoder.change.strides == (4, 8)
    assert detect_change(vit, encode(vit, images)).low_res.shape == (2, 1, 64, 64)


def test_a_file_carries_head_and_updates(images: Tensor, tmp_path) -> None:
    """An adapter with low-rank updates, head and running statistics comes back whole."""
    sam = load_sam("tiny")
    replace(SMALL, norm="batch")(sam)
    LoRA(last=1)(sam)
    sam.train()
    detect_change(sam, encode(sam, images))  # moves the statistics
    move_trained(sam)
    save_adapter(sam, tmp_path / "adapter")
    loaded = load_adapter(tmp_path / "adapter", load_sam("tiny")).sam
    expected = detect_change(sam.eval(), encode(sam, images)).low_res
    torch.testing.assert_close(detect_change(loaded, encode(loaded, images)).low_res, expected)
    with pytest.raises(MergeError, match="has no place"):
        merge(loaded)


def test_a_snapshot_compares(images: Tensor) -> None:
    """The accelerated model has the head."""
    sam = headed(SMALL).eval()
    fast = accelerate(sam)
    with torch.no_grad():
        expected = detect_change(sam, encode(sam, images)).low_res
        found = detect_change(fast, encode(fast, images)).low_res
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_bad_questions_are_refused(tiny: Sam, images: Tensor) -> None:
    """A model without the head, and a date that is alone."""
    with pytest.raises(InputError, match="compares no dates"):
        detect_change(tiny, encode(tiny, images))
    sam = headed(SMALL)
    with pytest.raises(InputError, match="3 images are no pairs"):
        detect_change(sam, encode(sam, images[:3]))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"widths": (8,)}, "two maps at least"),
        ({"strides": (4, 8, 16)}, "3 strides are given for 2 widths"),
        ({"strides": (4, 16)}, "twice the one before"),
        ({"norm": "layer"}, "allowed are batch, group"),
        ({"prior": 1.0}, "a probability between 0 and 1"),
    ],
)
def test_bad_heads_are_refused(values: dict, told: str, unchecked: None) -> None:
    """The message says what fits."""
    with pytest.raises(InjectionError, match=told):
        replace(SMALL, **values)
    with pytest.raises(InjectionError, match="does not divide"):
        replace(SMALL, strides=(64, 128))(load_sam("tiny"))
