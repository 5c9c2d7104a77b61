from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from samdomain.errors import PromptError
from samdomain.prompting import InteractiveSchedule, Turn, best_masks, original_masks
from samdomain.sam import Frame, Prediction, Sam, decode, encode

Answer = Callable[[Turn], Prediction]

IMAGES = torch.tensor([1, 0])


FRAME = Frame(((48, 64), (48, 64)), input_size=64)


def masks() -> torch.Tensor:
    true = torch.zeros(2, 48, 64, dtype=torch.bool)
    true[0, 10:30, 8:40] = True
    true[1, 20:28, 30:36] = True
    return true


def answer_by_chance(turn: Turn) -> Prediction:
    """Masks that mean nothing, in the shapes that a decoder gives."""
    alternatives = 3 if turn.multimask else 1
    low_res = torch.randn(len(turn.prompts), alternatives, 16, 16)
    iou = torch.rand(len(turn.prompts), alternatives)
    return Prediction(low_res, iou, turn.prompts.image_indices(), FRAME)


def play(
    schedule: InteractiveSchedule, seed: int = 0, answer: Answer = answer_by_chance
) -> tuple[list[Turn], list[Prediction]]:
    """Every turn and its answer."""
    interaction = schedule.begin(masks(), torch.Generator().manual_seed(seed), IMAGES)
    turn: Turn | None = interaction.turn
    turns: list[Turn] = []
    answers: list[Prediction] = []
    while turn is not None:
        turns.append(turn)
        answers.append(answer(turn))
        turn = interaction.answer(answers[-1])
    return turns, answers


def clicks(turn: Turn) -> int:
    return 0 if turn.prompts.points is None else len(turn.prompts.points[0])


def test_eleven_rounds() -> None:
    """One prompt, eight corrections, and two rounds without a new click, one of them last."""
    turns, _ = play(InteractiveSchedule(box_share=0.0))
    assert len(turns) == 11
    numbers = [clicks(turn) for turn in turns]
    steps = [after - before for before, after in pairwise(numbers)]
    assert numbers[0] == 1
    assert sorted(steps) == [0, 0] + [1] * 8
    assert steps[-1] == 0


def test_the_free_round_is_anywhere() -> None:
    """Its place among the corrections differs from step to step."""
    places = {
        tuple(InteractiveSchedule(corrections=3)._plan(torch.Generator().manual_seed(seed)))
        for seed in range(20)
    }
    assert len(places) == 3
    assert all(not plan[-1] and sum(plan) == 3 for plan in places)


def test_logits_are_handed_back() -> None:
    """Every turn after the first has the best mask of the answer before, and keeps its images."""
    turns, answers = play(InteractiveSchedule(corrections=2))
    assert turns[0].prompts.masks is None
    for turn, answer in zip(turns[1:], answers, strict=False):
        assert turn.prompts.masks is not None
        assert torch.equal(turn.prompts.masks, best_masks(answer))
        assert turn.prompts.image_indices().tolist() == [1, 0]


def test_only_a_single_click_asks_for_three() -> None:
    """A box does not, and no later round."""
    turns, _ = play(InteractiveSchedule(corrections=2, box_share=0.0))
    assert [turn.multimask for turn in turns] == [True, False, False, False, False]
    turns, _ = play(InteractiveSchedule(corrections=2, box_share=1.0))
    assert not any(turn.multimask for turn in turns)


def test_boxes_stay() -> None:
    """A box of the first round is in every later one, near the object."""
    turns, _ = play(InteractiveSchedule(corrections=2, box_share=1.0))
    first = turns[0].prompts.boxes
    assert first is not None
    assert clicks(turns[0]) == 0
    for turn in turns[1:]:
        assert turn.prompts.boxes is not None
        assert torch.equal(turn.prompts.boxes, first)


def test_corrections_fall_on_errors_of_the_answer() -> None:
    """A new click's label is the truth under it, and the answer before says otherwise."""
    turns, answers = play(InteractiveSchedule(corrections=3, box_share=0.0))
    for before, turn, answer in zip(turns, turns[1:], answers, strict=False):
        if clicks(turn) == clicks(before):
            continue
        assert isinstance(turn.prompts.points, torch.Tensor)
        assert isinstance(turn.prompts.labels, torch.Tensor)
        for row, predicted in enumerate(original_masks(answer)):
            x, y = turn.prompts.points[row, -1].int().tolist()
            label = int(turn.prompts.labels[row, -1])
            assert bool(masks()[row, y, x]) == bool(label)
            assert bool(predicted[y, x]) != bool(label)


def test_one_round_alone() -> None:
    """Without corrections there is nothing to hand back."""
    turns, _ = play(InteractiveSchedule(corrections=0))
    assert len(turns) == 1


def test_seeds_repeat() -> None:
    """The same seed begins with the same click, another one with another."""
    schedule = InteractiveSchedule(box_share=0.0)
    first, same, other = (play(schedule, seed)[0][0].prompts.points for seed in (4, 4, 5))
    assert isinstance(first, torch.Tensor)
    assert isinstance(same, torch.Tensor)
    assert isinstance(other, torch.Tensor)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_sam_plays_along(tiny: Sam) -> None:
    """Boxes, clicks and masks of every turn are what decode takes."""
    with torch.no_grad():
        embedding = encode(tiny, torch.rand(2, 3, 48, 64) * 255)

        def decoded(turn: Turn) -> Prediction:
            return decode(tiny, embedding, turn.prompts, multimask=turn.multimask)

        for share in (0.0, 1.0):
            turns, _ = play(InteractiveSchedule(corrections=1, box_share=share), answer=decoded)
            assert len(turns) == 4


def test_answers_to_other_prompts_are_refused() -> None:
    """One mask for two prompts is an error."""
    interaction = InteractiveSchedule().begin(masks(), torch.Generator().manual_seed(0), IMAGES)
    answer = answer_by_chance(interaction.turn)
    with pytest.raises(PromptError, match="1 masks answer 2 prompts"):
        interaction.answer(answer[0])
