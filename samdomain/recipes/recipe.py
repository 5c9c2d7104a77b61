"""What a recipe is: how a SAM is adapted, what a training step makes smaller, how it answers.

A recipe owns no loop, no optimiser and no weights. A trainer does this with it:

    for stage in recipe.stages:
        stage.adapt(sam)
        optimizer = AdamW(trained parameters, lr=stage.rate)
        for batch in batches:                       # stage.share of all steps
            total(stage.loss(stage.forward(sam, batch), batch)).backward()
    recipe.predict(sam, image)

`forward` takes a `CachedSam` in the place of the model; make it after `adapt`, which decides where
the frozen part ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samdomain.injection import Injected
from samdomain.prompting import low_res_masks
from samdomain.recipes.batch import Batch
from samdomain.recipes.legend import Legend
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike
from samdomain.sam.encoding import Images


@dataclass(frozen=True, eq=False)
class Answer:
    """Carry one decoding of a training step, and what it should have found.

    Attributes:
        prediction: masks of N prompts.
        target: share of the true object in each cell of their logits (N, S, S), 0 to 1; of each
            class (N, K, S, S) where all are decoded at once.
    """

    prediction: Prediction
    target: Float[Tensor, "n *k s s"]


Outputs = Mapping[str, Answer]
"""What a step decoded, by the name of each decoding in its order."""


@runtime_checkable
class Stage(Protocol):
    """One stage of training: what trains, and what it learns.

    Attributes:
        share: part of all steps that the stage takes, 0 to 1.
        rate: learning rate of AdamW that suits what trains, at its highest.
    """

    @property
    def share(self) -> float: ...  # noqa: D102 - above

    @property
    def rate(self) -> float: ...  # noqa: D102 - above

    def adapt(self, sam: Sam) -> tuple[Injected, ...]:
        """Inject what the stage needs and set what trains, in the model itself.

        On a model that the stage before left, what was learned stays.
        """
        ...

    def forward(self, sam: SamLike, batch: Batch) -> Outputs:
        """Encode the images once and decode them as the stage teaches.

        Chance, if any, comes from torch's own generator: seed it with `torch.manual_seed`.
        """
        ...

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss, already weighted: their sum is made smaller.

        All are finite, also for a batch without objects.
        """
        ...


@runtime_checkable
class Recipe(Stage, Protocol):
    """A way of adapting a SAM, and of using it afterwards.

    Recipes are frozen dataclasses of values that YAML and adapter files hold. A recipe is its
    own first stage; most have no other.

    Attributes:
        name: name in configs and adapter files.
        output: what the adapted model gives, which decides the command that runs it:
            "prompted" or "semantic" here.
        legend: what the channels of an answer without prompts mean; None for a recipe that
            needs prompts.
        monitor: name of the figure in `measure`, or in what a `Pooling` recipe makes of it, that
            tells which weights are best; more is better.
    """

    name: ClassVar[str]
    output: ClassVar[str]
    monitor: ClassVar[str]

    @property
    def legend(self) -> Legend | None: ...  # noqa: D102 - above

    @property
    def stages(self) -> "tuple[Stage, ...]":
        """Return the stages in which it trains, itself first."""
        ...

    @classmethod
    def presets(cls) -> "Mapping[str, Recipe]":
        """Return the recipe as it was published ("paper", "official") and as we advise."""
        ...

    def answer(
        self, sam: SamLike, embedding: Embedding, prompts: Prompts | None = None
    ) -> Prediction:
        """Answer images that are encoded already; see `predict`."""
        ...

    def predict(self, sam: SamLike, images: Images, prompts: Prompts | None = None) -> Prediction:
        """Encode images and answer, without gradients.

        Args:
            sam: adapted model, in eval mode.
            images: see `encode`.
            prompts: what to look for; by default what the recipe was made for: everything of
                its kind, one mask an image.

        Raises:
            PromptError: the recipe needs prompts, and none were given.
        """
        ...

    def measure(self, sam: SamLike, batch: Batch) -> dict[str, Float[Tensor, " n"]]:
        """Measure the model on images with true masks, without gradients or chance.

        Returns:
            dict: figures by name, each a value a mask, from 0 to 1; more is better.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the values that the recipe is built with, as JSON can hold them."""
        ...


@runtime_checkable
class Guided(Recipe, Protocol):
    """A recipe that is held by what stands beside the model: a frozen source, a moving teacher.

    `adapt` puts them there. Who trains it calls `after_step` behind each step of the optimiser,
    and keeps `samdomain.anchor.guides_of(sam).state_dict()` with the weights, so that going on
    equals not having stopped.

    Attributes:
        alarms: figures of `measure` whose fall tells that training collapses, by name, each with
            the mean below which training shall end; empty where nothing can.
    """

    @property
    def alarms(self) -> Mapping[str, float]: ...  # noqa: D102 - above

    def after_step(self, sam: Sam) -> None:
        """Do what follows a step of the optimiser, in what stands beside the model."""
        ...


@runtime_checkable
class PromptFree(Recipe, Protocol):
    """A recipe whose training asks nothing that only true masks could tell.

    So other libraries can train it: the network decodes, and the criterion, which has the masks,
    makes the loss. Its `forward` is `aim(decode(sam, embedding), batch)`.
    """

    def decode(self, sam: SamLike, embedding: Embedding) -> Sequence[Prediction]:
        """Decode images as training does; the last prediction is the answer."""
        ...

    def aim(self, predictions: Sequence[Prediction], batch: Batch) -> Outputs:
        """Return what a step decoded, with what each decoding should have found."""
        ...


@runtime_checkable
class Pooling(Recipe, Protocol):
    """A recipe whose best figure is no mean over masks, as F1 of all pixels together."""

    def pooled(self, means: Mapping[str, float]) -> dict[str, float]:
        """Return the figures to tell, from the means of those that `measure` gives.

        What a pooled figure is made of, and tells nothing by itself, is not among them.
        """
        ...


def total(terms: Mapping[str, Tensor]) -> Float[Tensor, ""]:
    """Return the sum of the terms of a loss."""
    return torch.stack(list(terms.values())).sum()


def answers_to_images(prediction: Prediction, batch: Batch) -> Answer:
    """Return decodings of whole images: each should have found all objects of its image."""
    masks = batch.foregrounds()
    return answer_to(prediction, [masks[image] for image in prediction.images.tolist()])


def answer_to(prediction: Prediction, masks: Sequence[Bool[Tensor, "_ _"]]) -> Answer:
    """Return a decoding with the mask, in pixels of the image, that each prompt asks for."""
    size = prediction.low_res.shape[-1]
    target = low_res_masks(masks, prediction.frame, size, images=prediction.images)
    return Answer(prediction, target.to(prediction.low_res))
