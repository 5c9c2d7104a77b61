from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

import samdomain.prompting.self_prompting as room
from samdomain.prompting import (
    found,
    no_prompts,
    predicted_boxes,
    predicted_masks,
    predicted_object_boxes,
    self_prompt,
    together,
    whole_images,
)
from samdomain.sam import Embedding, Prediction, Prompts, Sam, decode, encode


@pytest.fixture(scope="module")
def embedding(tiny: Sam) -> Embedding:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        return encode(tiny, torch.rand((3, 3, 48, 64), generator=generator) * 255)


def fill(prediction: Prediction, values: list[float]) -> Prediction:
    """Give the masks of the prompts logits of one value each, and one cell of the other sign."""
    low_res = torch.tensor(values)[:, None, None, None].expand_as(prediction.low_res).clone()
    return replace(prediction, low_res=low_res)


@pytest.fixture
def first_empty(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], list[Prompts]]:
    """Make the first answer what the test says; the prompts that are decoded are listed."""

    def prepare(values: list[float]) -> list[Prompts]:
        asked: list[Prompts] = []

        def faked(sam: Sam, embedding: Embedding, prompts: Prompts) -> Prediction:
            asked.append(prompts)
            prediction = decode(sam, embedding, prompts)
            return fill(prediction, values) if len(asked) == 1 else prediction

        monkeypatch.setattr(room, "decode", faked)
        return asked

    return prepare


def test_rounds_are_all_returned(tiny: Sam, embedding: Embedding) -> None:
    """No round gives the null prompt's answer alone; n rounds give n more."""
    with torch.no_grad():
        null = decode(tiny, embedding, Prompts.null(3))
        assert torch.equal(self_prompt(tiny, embedding, 0)[0].low_res, null.low_res)
        answers = self_prompt(tiny, embedding, 3, predicted_masks)
        assert len(answers) == 4
        again = self_prompt(tiny, embedding, 1, predicted_masks)
    assert torch.equal(answers[1].low_res, again[1].low_res)


def test_each_round_asks_with_the_answer_before(tiny: Sam, embedding: Embedding) -> None:
    """The second answer is that to the first answer's low-resolution logits."""
    with torch.no_grad():
        first, second = self_prompt(tiny, embedding, 1, predicted_masks, empty=predicted_masks)
        expected = decode(tiny, embedding, predicted_masks(first))
    torch.testing.assert_close(second.low_res, expected.low_res)


def test_the_encoder_is_not_asked(tiny: Sam, embedding: Embedding) -> None:
    """A model without an encoder prompts itself as well."""

    class Decoder:
        spec = tiny.spec
        prompt_encoder = tiny.prompt_encoder
        mask_decoder = tiny.mask_decoder

        def image_encoder(self, pixels: torch.Tensor) -> None:
            raise AssertionError("the embedding is there already")

    with torch.no_grad():
        assert len(self_prompt(Decoder(), embedding, 2)) == 3


def test_boxes_come_from_the_answer(tiny: Sam, embedding: Embedding, first_empty) -> None:
    """A first answer that fills its image asks with the whole image next."""
    asked = first_empty([1.0, 1.0, 1.0])
    self_prompt(tiny, embedding, 1)
    assert asked[1].boxes is not None
    assert asked[1].boxes.tolist() == [[0, 0, 64, 48]] * 3


def test_empty_masks_follow_the_policy(tiny: Sam, embedding: Embedding, first_empty) -> None:
    """Full and empty masks are asked for apart, and come back in their order."""
    asked = first_empty([1.0, -1.0, 1.0])
    with torch.no_grad():
        _, second = self_prompt(tiny, embedding, 1, empty=no_prompts)
        null = decode(tiny, embedding, Prompts.null(3))
    assert [prompts.kinds for prompts in asked[1:]] == [{"box"}, set()]
    assert second.images.tolist() == [0, 1, 2]
    torch.testing.assert_close(second.low_res[1], null.low_res[1])
    assert not torch.allclose(second.low_res[0], null.low_res[0])


def test_all_empty_is_safe(tiny: Sam, embedding: Embedding, first_empty) -> None:
    """Values and gradients are finite where nothing was found at all."""
    asked = first_empty([-1.0, -1.0, -1.0])
    leaf = Embedding(embedding.main.clone().requires_grad_(), embedding.levels, embedding.frame)
    _, second = self_prompt(tiny, leaf, 1, empty=whole_images)
    assert len(asked) == 2
    second.low_res.sum().backward()
    assert leaf.main.grad is not None
    assert leaf.main.grad.isfinite().all()
    assert leaf.main.grad.abs().sum() > 0


def test_parts_may_become_prompts(tiny: Sam, embedding: Embedding, first_empty) -> None:
    """More prompts than before are sorted by their images."""

    def twice(prediction: Prediction) -> Prompts:
        prompts = predicted_object_boxes(prediction)
        assert prompts.boxes is not None
        return Prompts(boxes=prompts.boxes.repeat(2, 1), images=prompts.image_indices().repeat(2))

    first_empty([1.0, -1.0, 1.0])
    with torch.no_grad():
        _, second = self_prompt(tiny, embedding, 1, twice)
    assert second.images.tolist() == [0, 0, 1, 2, 2]


def test_the_first_prompts_can_be_given(tiny: Sam, embedding: Embedding) -> None:
    """Refinement begins with any prompts."""
    start = Prompts(boxes=torch.tensor([[2.0, 2, 30, 30]]), images=torch.tensor([2]))
    rule = together(predicted_boxes, predicted_masks)
    with torch.no_grad():
        answers = self_prompt(tiny, embedding, 1, rule, start=start)
        expected = decode(tiny, embedding, start)
    torch.testing.assert_close(answers[0].low_res, expected.low_res)
    assert answers[1].images.tolist() == [2]


def test_masks_can_carry_gradients(tiny: Sam, embedding: Embedding) -> None:
    """With logits that stay attached, the second answer teaches the first."""
    leaf = Embedding(embedding.main.clone().requires_grad_(), embedding.levels, embedding.frame)

    def attached(prediction: Prediction) -> Prompts:
        return predicted_masks(prediction, detach=False)

    for rule, expected in ((attached, True), (predicted_masks, False)):
        first, second = self_prompt(tiny, leaf, 1, rule, empty=rule)
        (gradient,) = torch.autograd.grad(second.low_res.sum(), first.low_res, allow_unused=True)
        assert (gradient is not None) is expected


def test_fewer_than_no_rounds_are_refused(tiny: Sam, embedding: Embedding) -> None:
    """The number of rounds begins at 0."""
    with pytest.raises(ValueError, match="rounds is -1"):
        self_prompt(tiny, embedding, -1)


def test_a_box_from_its_own_answer_is_a_box(tiny: Sam, embedding: Embedding) -> None:
    """What the second round gives is what decode gives for the same boxes."""
    with torch.no_grad():
        first, second = self_prompt(tiny, embedding, 1)
        seen = found(first).flatten(1).any(dim=1).nonzero()[:, 0]
        expected = decode(tiny, embedding, predicted_boxes(first[seen]))
    torch.testing.assert_close(second[seen].low_res, expected.low_res)
