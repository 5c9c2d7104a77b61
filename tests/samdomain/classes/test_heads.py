import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from samdomain import Prompts, accelerate, add_lora, decode, encode, load_sam
from samdomain.adapter_file import load_adapter, save_adapter
from samdomain.classes import ClassTokens, PyramidClasses, classify
from samdomain.errors import InjectionError, InputError, MergeError
from samdomain.injection import Injection, merge
from samdomain.sam import Sam, pyramid
from samdomain.sam.pyramid import level_strides
from samdomain.testing import check_injection, move_trained

HEADS = [ClassTokens(3), PyramidClasses(3, width=8)]


@pytest.fixture(params=HEADS, ids=lambda one: one.kind)
def head(request: pytest.FixtureRequest) -> Injection:
    """Each head of classes."""
    return request.param


@pytest.fixture
def headed(head: Injection) -> Sam:
    """A model with a head whose values are those of a training."""
    sam = load_sam("tiny")
    head(sam)
    return move_trained(sam)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 48, 64) * 255


def test_heads_keep_to_the_contract(
    sam: Sam, head: Injection, ask_classes: Callable[[Sam], Tensor]
) -> None:
    """Prompts are answered as before; classes train, are copied, and are never merged."""
    check_injection(sam, head, ask=ask_classes)


def test_each_image_has_a_map_a_class(headed: Sam, images: Tensor) -> None:
    """Logits stand on the decoder's grid, and in pixels where they are asked for."""
    answer = classify(headed, encode(headed, images))
    size = headed.spec.mask_size
    assert answer.low_res.shape == (2, 3, size, size)
    assert answer.logits.shape == (2, 3, 48, 64)
    assert answer.iou.isnan().all()


def test_images_of_a_batch_do_not_know_one_another(headed: Sam, images: Tensor) -> None:
    """Each is answered as if it were alone."""
    together = classify(headed, encode(headed, images)).low_res
    alone = [classify(headed, encode(headed, image)).low_res for image in images]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_turning_the_classes_turns_the_channels(images: Tensor) -> None:
    """Tokens know nothing of their place among the others."""
    sam = load_sam("tiny")
    ClassTokens(3)(sam)
    move_trained(sam)
    embedding = encode(sam, images)
    before = classify(sam, embedding).low_res
    order = [2, 0, 1]
    decoder = sam.mask_decoder
    with torch.no_grad():
        decoder.class_tokens.copy_(decoder.class_tokens[order].clone())
    networks = list(decoder.class_hypernetworks)
    decoder.class_hypernetworks = torch.nn.ModuleList(networks[i] for i in order)
    after = classify(sam, embedding).low_res
    torch.testing.assert_close(after, before[:, order], atol=1e-4, rtol=1e-4)


def test_tokens_begin_as_the_single_mask(images: Tensor) -> None:
    """One class, before training, is what the base answers to the null prompt's tokens."""
    sam = load_sam("tiny")
    mask_decoder = sam.mask_decoder
    embedding = encode(sam, images)
    with torch.no_grad():
        sparse, dense = sam.prompt_encoder(points=None, boxes=None, masks=None)
        own = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight[:1]])
        expected, _ = mask_decoder.masks_of(
            own,
            mask_decoder.output_hypernetworks_mlps[:1],
            embedding.main,
            sam.prompt_encoder.get_dense_pe(),
            sparse.expand(2, -1, -1),
            dense.expand(2, -1, -1, -1),
        )
    ClassTokens(1)(sam)
    torch.testing.assert_close(classify(sam, embedding).low_res, expected)


def test_the_pyramid_reads_the_encoder_s_maps(images: Tensor) -> None:
    """It names the strides it reads, and changes with each of them."""
    sam = load_sam("tiny")
    PyramidClasses(2)(sam)
    embedding = encode(sam, images)
    assert level_strides(sam) == tuple(sorted(embedding.levels))
    before = classify(sam, embedding).low_res
    for stride in level_strides(sam):
        other = dict(embedding.levels)
        other[stride] = other[stride] + torch.randn_like(other[stride])
        changed = copy.copy(embedding)
        object.__setattr__(changed, "levels", other)
        assert not torch.allclose(classify(sam, changed).low_res, before)
    assert level_strides(load_sam("tiny")) == ()
    assert pyramid(embedding, level_strides(sam)).keys() == set(level_strides(sam))


def test_a_model_without_classes_says_so(tiny: Sam, images: Tensor) -> None:
    """The message names what puts them in."""
    with pytest.raises(InputError, match="has no classes"):
        classify(tiny, encode(tiny, images))


@pytest.mark.parametrize("kind", [ClassTokens, PyramidClasses])
def test_no_class_is_refused(kind: type[ClassTokens | PyramidClasses]) -> None:
    """A head needs a class at least."""
    with pytest.raises(InjectionError, match="0 classes are none"):
        kind(classes=0)(load_sam("tiny"))


def test_heads_exclude_one_another() -> None:
    """A model has one head."""
    sam = load_sam("tiny")
    ClassTokens(2)(sam)
    with pytest.raises(InjectionError, match="TokenDecoder already"):
        PyramidClasses(2)(sam)


def test_a_file_carries_head_and_updates(headed: Sam, head: Injection, images: Tensor, tmp_path):
    """An adapter with low-rank updates and a head comes back whole, and is not merged."""
    add_lora(headed)
    move_trained(headed, seed=2)
    save_adapter(headed, tmp_path / "adapter")
    loaded = load_adapter(tmp_path / "adapter", load_sam("tiny")).sam
    expected = classify(headed.eval(), encode(headed, images)).low_res
    torch.testing.assert_close(classify(loaded, encode(loaded, images)).low_res, expected)
    with pytest.raises(MergeError, match="classes have no place"):
        merge(loaded)


def test_a_snapshot_answers_classes_and_prompts(headed: Sam, images: Tensor) -> None:
    """The accelerated model has the head, with the base's answers to prompts beside it."""
    fast = accelerate(headed.eval())
    boxes = Prompts(boxes=torch.tensor([[4.0, 4, 40, 30]]))
    with torch.no_grad():
        expected = classify(headed, encode(headed, images)).low_res
        asked = decode(headed, encode(headed, images), boxes).low_res
        torch.testing.assert_close(
            classify(fast, encode(fast, images)).low_res, expected, atol=1e-3, rtol=1e-3
        )
        torch.testing.assert_close(
            decode(fast, encode(fast, images), boxes).low_res, asked, atol=1e-3, rtol=1e-3
        )
