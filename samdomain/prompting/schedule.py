"""SAM's interactive training: a simulated user who corrects the answer, round after round."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from samdomain.errors import PromptError
from samdomain.prompting.answers import best_masks, original_masks
from samdomain.prompting.boxes import Masks, rough_boxes_around
from samdomain.prompting.chosen import Pick, uniform_pixel
from samdomain.prompting.clicks import clicks_on, corrective_clicks
from samdomain.sam import Prediction, Prompts


@dataclass(frozen=True, eq=False)
class Turn:
    """Say what to ask of the decoder.

    Attributes:
        prompts: prompts of the round.
        multimask: whether the round asks for three alternatives.
        clicked: whether there is a new prompt in it, or the last ones are asked again.
    """

    prompts: Prompts
    multimask: bool
    clicked: bool = True


@dataclass(frozen=True)
class InteractiveSchedule:
    """Plan the rounds of an interactive training step.

    The first round has a click or a rough box. Each correction adds one click where the last
    answer erred, and hands the answer's logits back as a mask prompt. Two more rounds hand
    back the logits without a new click: one at a random place among the corrections, one at
    the end. So 8 corrections make 11 rounds. Only a first round with a single click asks for
    three alternatives; the best by the decoder's estimate is handed on.

    The choice between click and box falls once for all masks of a step (the source draws for
    each mask), so that they are decoded together.

    Attributes:
        corrections: rounds with a new click; 0 leaves the first round alone.
        box_share: chance that the first round has a box; 1 for weights that know no clicks.
        pick: which pixel of an error is clicked.

    Source: Kirillov et al., Segment Anything (2023), appendix A, "Interactive training".
    """

    corrections: int = 8
    box_share: float = 0.5
    pick: Pick = uniform_pixel

    def begin(
        self, true: Masks, generator: torch.Generator, images: Int[Tensor, " n"] | None = None
    ) -> "Interaction":
        """Begin an interaction over true masks, none of them empty.

        Args:
            true: true masks, in pixels of their original images.
            generator: source of chance, on the CPU.
            images: image of each mask; the first by default.

        Raises:
            PromptError: a mask is empty.
        """
        if float(torch.rand((), generator=generator)) < self.box_share:
            first = Turn(rough_boxes_around(true, generator, images=images), multimask=False)
        else:
            clicks = clicks_on(true, generator, images=images, inside=1, outside=0)
            first = Turn(clicks, multimask=True)
        return Interaction(self, true, generator, first, self._plan(generator))

    def _plan(self, generator: torch.Generator) -> list[bool]:
        """Say of each round after the first whether it has a new click."""
        if not self.corrections:
            return []
        clicks = [True] * self.corrections
        clicks.insert(int(torch.randint(self.corrections, (), generator=generator)), False)
        return [*clicks, False]


@dataclass
class Interaction:
    """Ask for masks, round after round, until `answer` returns None.

        turn = interaction.turn
        while turn is not None:
            prediction = decode(sam, embedding, turn.prompts, multimask=turn.multimask)
            turn = interaction.answer(prediction)

    Attributes:
        schedule: the plan that it follows.
        true: true masks.
        generator: source of chance.
        turn: what to ask now.
        ahead: whether each round to come has a new click.
    """

    schedule: InteractiveSchedule
    true: Masks
    generator: torch.Generator
    turn: Turn
    ahead: list[bool] = field(default_factory=list[bool])

    def answer(self, prediction: Prediction) -> Turn | None:
        """Take the answer to the current turn, and return the next turn, or None at the end.

        Raises:
            PromptError: the answer is not one to the current turn's prompts.
        """
        before = self.turn.prompts
        if len(prediction) != len(before):
            raise PromptError(
                f"{len(prediction)} masks answer {len(before)} prompts: hand over what decode "
                "returned for the turn's prompts"
            )
        if not self.ahead:
            return None
        points, labels = before.points, before.labels
        clicked = self.ahead.pop(0)
        if clicked:
            points, labels = self._corrected(prediction)
        prompts = Prompts(
            boxes=before.boxes,
            points=points,
            labels=labels,
            masks=best_masks(prediction).detach(),
            images=before.images,
        )
        self.turn = Turn(prompts, multimask=False, clicked=clicked)
        return self.turn

    def _corrected(self, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """Return all clicks so far and one where each mask errs."""
        predicted = [
            mask.to(true.device)
            for mask, true in zip(original_masks(prediction), self.true, strict=True)
        ]
        new = corrective_clicks(self.true, predicted, self.generator, pick=self.schedule.pick)
        clicks = [(new.points, new.labels)]
        clicks.insert(0, (self.turn.prompts.points, self.turn.prompts.labels))
        points = [part for part, _ in clicks if isinstance(part, Tensor)]
        labels = [part for _, part in clicks if isinstance(part, Tensor)]
        return (
            torch.cat([part.cpu() for part in points], dim=1),
            torch.cat([part.cpu() for part in labels], dim=1),
        )
