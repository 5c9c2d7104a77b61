from itertools import pairwise

import pytest
import torch

from samdomain.errors import PromptError
from samdomain.prompting import InteractiveSchedule, Turn, best_masks, original_masks
from samdomain.sam import Embedding, Prediction, Sam, decode, encode

IMAGES = torch.tensor([1, 0])


@pytest.fixture(scope="module")
def embedding(tiny: Sam) -> Embedding:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        return encode(tiny, torch.rand((2, 3, 48, 64), generator=generator) * 255)


def masks() -> torch.Tensor:
    true = torch.zeros(2, 48, 64, dtype=torch.bool)
    true[0, 10:30, 8:40] = True
    true[1, 20:28, 30:36] = True
    return true


def play(
    tiny: Sam, embedding: Embedding, schedule: InteractiveSchedule, seed: int = 0
) -> tuple[list[Turn], list[Prediction]]:
    """Every turn and its answer."""
    interaction = schedule.begin(masks(), torch.Generator().manual_seed(seed), IMAGES)
    turn: Turn | None = interaction.turn
    turns: list[Turn] = []
    answers: list[Prediction] = []
    with torch.no_grad():
        while turn is not None:
            turns.append(turn)
            answers.append(decode(tiny, embedding, turn.prompts, multimask=turn.multimask))
            turn = interaction.answer(answers[-1])
    return turns, answers


def clicks(turn: Turn) -> int:
    return 0 if turn.prompts.points is None else len(turn.prompts.points[0])


def test_eleven_rounds(tiny: Sam, embedding: Embedding) -> None:
    """One prompt, eight corrections, and two rounds without a new click, one of them last."""
    turns, _ = play(tiny, embedding, InteractiveSchedule(box_share=0.0))
    assert len(turns) == 11
    numbers = [clicks(turn) for turn in turns]
    steps = [after - before for before, after in pairwise(numbers)]
    assert numbers[0] == 1
    assert sorted(steps) == [0, 0] + [1] * 8
    assert steps[-1] == 0


def test_the_free_round_is_anywhere(tiny: Sam, embedding: Embedding) -> None:
    """Its place among the corrections differs from step to step."""
    places = {
        tuple(InteractiveSchedule(corrections=3)._plan(torch.Generator().manual_seed(seed)))
        for seed in range(20)
    }
    assert len(places) == 3
    assert all(not plan[-1] and sum(plan) == 3 for plan in places)


def test_logits_are_handed_back(tiny: Sam, embedding: Embedding) -> None:
    """Every turn after the first has the best mask of the answer before, and keeps its images."""
    turns, answers = play(tiny, embedding, InteractiveSchedule(corrections=2))
    assert turns[0].prompts.masks is None
    for turn, answer in zip(turns[1:], answers, strict=False):
        assert turn.prompts.masks is not None
        assert torch.equal(turn.prompts.masks, best_masks(answer))
        assert turn.prompts.image_indices().tolist() == [1, 0]


def test_only_a_single_click_asks_for_three(tiny: Sam, embedding: Embedding) -> None:
    """A box does not, and no later round."""
    turns, _ = play(tiny, embedding, InteractiveSchedule(corrections=2, box_share=0.0))
    assert [turn.multimask for turn in turns] == [True, False, False, False, False]
    turns, _ = play(tiny, embedding, InteractiveSchedule(corrections=2, box_share=1.0))
    assert not any(turn.multimask for turn in turns)


def test_boxes_stay(tiny: Sam, embedding: Embedding) -> None:
    """A box of the first round is in every later one, near the object."""
    turns, _ = play(tiny, embedding, InteractiveSchedule(corrections=2, box_share=1.0))
    first = turns[0].prompts.boxes
    assert first is not None
    assert clicks(turns[0]) == 0
    for turn in turns[1:]:
        assert turn.prompts.boxes is not None
        assert torch.equal(turn.prompts.boxes, first)


def test_corrections_fall_on_errors_of_the_answer(tiny: Sam, embedding: Embedding) -> None:
    """A new click's label is the truth under it, and the answer before says otherwise."""
    turns, answers = play(tiny, embedding, InteractiveSchedule(corrections=3, box_share=0.0))
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


def test_one_round_alone(tiny: Sam, embedding: Embedding) -> None:
    """Without corrections there is nothing to hand back."""
    turns, _ = play(tiny, embedding, InteractiveSchedule(corrections=0))
    assert len(turns) == 1


def test_seeds_repeat(tiny: Sam, embedding: Embedding) -> None:
    """The same seed plays the same interaction, another one another."""
    schedule = InteractiveSchedule(corrections=2, box_share=0.0)
    last = [play(tiny, embedding, schedule, seed)[0][-1].prompts.points for seed in (4, 4, 5)]
    first, same, other = (part for part in last if isinstance(part, torch.Tensor))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_answers_to_other_prompts_are_refused(tiny: Sam, embedding: Embedding) -> None:
    """One mask for two prompts is an error."""
    interaction = InteractiveSchedule().begin(masks(), torch.Generator().manual_seed(0), IMAGES)
    with torch.no_grad():
        answer = decode(tiny, embedding, interaction.turn.prompts)
    with pytest.raises(PromptError, match="1 masks answer 2 prompts"):
        interaction.answer(answer[0])
