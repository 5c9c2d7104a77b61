from dataclasses import replace

import pytest
import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer

from samdomain.errors import PromptError
from samdomain.sam import Embedding, Prediction, Prompts, Sam, decode, encode

BOXES = torch.tensor([[2.0, 2, 30, 30], [10, 5, 60, 40], [1, 1, 20, 20], [5, 5, 50, 45]])


@pytest.fixture(scope="module")
def embedding(tiny: Sam) -> Embedding:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        return encode(tiny, torch.rand((3, 3, 48, 64), generator=generator) * 255)


def close(a: Prediction, b: Prediction) -> bool:
    return torch.allclose(a.low_res, b.low_res, atol=1e-5) and torch.allclose(
        a.iou, b.iou, atol=1e-5
    )


def test_a_batch_equals_a_loop(tiny: Sam, embedding: Embedding) -> None:
    """Boxes over three images, out of order, decode as one image at a time."""
    images = torch.tensor([2, 0, 2, 1])
    together = decode(tiny, embedding, Prompts(boxes=BOXES, images=images))
    for row, image in enumerate(images.tolist()):
        alone = decode(tiny, embedding[image], Prompts(boxes=BOXES[row : row + 1]))
        assert close(together[row], alone)


def test_ragged_clicks_equal_a_loop(tiny: Sam, embedding: Embedding) -> None:
    """Prompts with 1, 3 and 1 clicks come back in their own order, each as if alone."""
    points = [torch.rand(k, 2) * 40 for k in (1, 3, 1)]
    labels = [torch.randint(0, 2, (k,)) for k in (1, 3, 1)]
    images = torch.tensor([1, 0, 2])
    together = decode(tiny, embedding, Prompts(points=points, labels=labels, images=images))
    for row, image in enumerate(images.tolist()):
        alone = Prompts(points=points[row][None], labels=labels[row][None])
        assert close(together[row], decode(tiny, embedding[image], alone))


def test_null_prompts_equal_a_loop(tiny: Sam, embedding: Embedding) -> None:
    """The null prompt decodes every image once."""
    together = decode(tiny, embedding, Prompts.null(3))
    for image in range(3):
        assert close(together[image], decode(tiny, embedding[image], Prompts.null(1)))


def test_low_res_masks_serve_as_prompts(tiny: Sam, embedding: Embedding) -> None:
    """A mask prompt changes the mask that a box alone gives."""
    prompts = Prompts(boxes=BOXES[:1])
    first = decode(tiny, embedding, prompts)
    again = decode(tiny, embedding, Prompts(boxes=BOXES[:1], masks=first.low_res[:, 0]))
    assert again.low_res.shape == first.low_res.shape
    assert not torch.equal(again.low_res, first.low_res)


def test_decoder_equals_segment_anything(tiny: Sam, embedding: Embedding) -> None:
    """For one image, masks equal those of the stock decoder with the same weights."""
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=64)
    stock = MaskDecoder(transformer_dim=256, transformer=transformer).eval()
    stock.load_state_dict(tiny.mask_decoder.state_dict())
    boxes = embedding.frame.to_input(BOXES.reshape(-1, 2, 2), torch.zeros(4, dtype=torch.long))
    with torch.no_grad():
        sparse, dense = tiny.prompt_encoder(points=None, boxes=boxes.reshape(-1, 4), masks=None)
        for multimask in (False, True):
            expected, iou = stock(
                image_embeddings=embedding.main[:1],
                image_pe=tiny.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
            )
            ours = decode(tiny, embedding, Prompts(boxes=BOXES), multimask=multimask)
            assert torch.allclose(ours.low_res, expected, atol=1e-5)
            assert torch.allclose(ours.iou, iou, atol=1e-5)


def test_logits_have_the_size_of_the_image(tiny: Sam, embedding: Embedding) -> None:
    """Logits cover the original image, not the padded square."""
    prediction = decode(tiny, embedding, Prompts(boxes=BOXES), multimask=True)
    assert prediction.logits.shape == (4, 3, 48, 64)


def test_logits_of_unequal_images_are_taken_one_by_one(tiny: Sam) -> None:
    """Images of two sizes share no tensor of logits; the error says what to do."""
    both = encode(tiny, [torch.rand(3, 20, 30), torch.rand(3, 64, 50)])
    prediction = decode(tiny, both, Prompts(boxes=BOXES[:2], images=torch.tensor([0, 1])))
    with pytest.raises(PromptError, match="one image's prompts at a time"):
        _ = prediction.logits
    assert prediction[1].logits.shape == (1, 1, 64, 50)


def test_gradients_reach_the_encoder(tiny: Sam) -> None:
    """Nothing on the way from the mask to the encoder's weights hides a no_grad."""
    embedding = encode(tiny, torch.rand(3, 64, 64) * 255)
    weight = tiny.image_encoder.neck[0].weight
    (gradient,) = torch.autograd.grad(
        decode(tiny, embedding, Prompts(boxes=BOXES[:1])).logits.sum(), weight
    )
    assert gradient.abs().sum() > 0


def test_no_prompts_make_no_masks(tiny: Sam, embedding: Embedding) -> None:
    """An empty set of boxes is no error."""
    assert len(decode(tiny, embedding, Prompts(boxes=torch.zeros(0, 4)))) == 0


def test_a_kind_that_the_weights_do_not_know_is_refused(tiny: Sam, embedding: Embedding) -> None:
    """A model of boxes names what it was given and what it takes, before any work."""
    spec = replace(tiny.spec, name="boxes_only", prompts=frozenset({"box"}))
    boxes_only = Sam(tiny.image_encoder, tiny.prompt_encoder, tiny.mask_decoder, spec)
    clicks = Prompts(points=torch.zeros(1, 1, 2), labels=torch.ones(1, 1, dtype=torch.long))
    with pytest.raises(PromptError, match=r"'boxes_only' was not trained with point .* give box"):
        decode(boxes_only, embedding, clicks)
    assert len(decode(boxes_only, embedding, Prompts(boxes=BOXES[:1]))) == 1


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (Prompts(boxes=BOXES[:1], images=torch.tensor([3])), "has 3"),
        (Prompts(masks=torch.zeros(1, 32, 32)), r"\(N, \*\(64, 64\)\)"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(
    tiny: Sam, embedding: Embedding, prompts: Prompts, message: str
) -> None:
    """An image or a mask that does not exist is named."""
    with pytest.raises(PromptError, match=message):
        decode(tiny, embedding, prompts)
