"""SAM-CD: what changed between two dates, from a frozen encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from samdomain.bands import Bands
from samdomain.change import ChangeHead, ChangePrediction, detect_change
from samdomain.errors import InputError, PromptError
from samdomain.injection import Injected, Injection
from samdomain.lora import LoRA
from samdomain.losses import temporal_loss
from samdomain.metrics import ChangeCounts, dice_score, iou_score
from samdomain.prompting import low_res_masks
from samdomain.recipes import CHANGE, Answer, Batch, ClassCost, Legend, Outputs, Tuning
from samdomain.recipes.recipe import Images, answers_to_images
from samdomain.recipes.values import Values
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike, encode
from samdomain.views import VIEWS

_HEAD = ChangeHead()
_COST = ClassCost(cross_entropy=1.0, dice=1.0)
_PUBLISHED = ChangeHead(
    strides=(4, 8, 16, 32),
    widths=(40, 80, 160, 160),
    width=64,
    hidden=128,
    blocks=6,
    normalised=False,
    norm="batch",
    joining="ordered",
    prior=0.5,
)
_ENTROPY = ClassCost(cross_entropy=1.0, dice=0.0)
_RGB = 3
_DATES, _PAIR = 2, 4  # and the dimensions of (T, C, H, W)
_SHARES = ("both", "found", "changed")  # of a pair's pixels: what F1 of all pairs is made of


@dataclass(frozen=True)
class SamCD(Values):
    """Train a head that compares two dates, on the frozen encoder's features of each.

    A date is encoded once. The head adapts and fuses the encoder's maps, sums each date up in
    latent classes that agree where nothing changed, weighs the joined dates by them, and tells
    changes. Presets:

    - "official": the published code: the finest fused map, raw latents in the attention, batch
      normalisation, cross-entropy alone. Maps are enlarged without aligned corners, so that tiles
      agree; the attention's normalisation has the usual momentum, not 0.95; and the temporal loss
      is that of the latents' own cells.
    - "paper": as the paper draws it: both branches read all fused maps, which a 1x1 convolution
      brings to the width of the code's residual blocks, and the attention reads normalised
      latents.
    - "recommended", the defaults: a head a tenth of the size, which trains on a CPU. It reads
      mean and distance of the dates, so that swapped dates have the same answer; group
      normalisation, which small batches do not disturb; a Dice loss beside the cross-entropy, and
      a low probability to begin with, since few pixels change. Features are turned in the place
      of images, since an encoder that runs once for each image is most of the time.
    - "plain": as recommended, without latents: no attention, no temporal loss.

    Masks of a batch say where something changed; its images have two dates (T=2, C, H, W), the
    earlier one first. There is no answer to prompts.

    Attributes:
        head: what compares; see `ChangeHead`.
        lora: updates of the encoder, as `LoRA(rank=4)`; None leaves it frozen. Only what runs
            before the first of them is computed once.
        cost: loss of the changes.
        temporal: weight of the temporal similarity loss.
        turns: features of both dates are turned and mirrored alike in so many ways by chance in
            training, 1 to 8: nearly what the encoder makes of turned images, which it never sees.
        bands: channels of an image; more than three are mixed to the base's by trained weights.
        rgb: which bands are red, green and blue, counted from 0.
        rate: learning rate.
        share: part of the training's steps; there is no other stage.

    Source: Ding et al., Adapting Segment Anything Model for Change Detection in VHR Remote
    Sensing Images (TGRS 2024), section III, and its official code; Chen et al., Time Travelling
    Pixels (2023), for updates of the encoder.
    """

    name: ClassVar[str] = "sam_cd"
    output: ClassVar[str] = "change"
    monitor: ClassVar[str] = "change_f1"

    head: ChangeHead = _HEAD
    lora: LoRA | None = None
    cost: ClassCost = _COST
    temporal: float = 1.0
    turns: int = len(VIEWS)
    bands: int = _RGB
    rgb: tuple[int, ...] = (0, 1, 2)
    rate: float = 2e-3
    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse turns that there are not."""
        if not 1 <= self.turns <= len(VIEWS):
            raise InputError(f"turns is {self.turns}: allowed are 1 to {len(VIEWS)}")

    @classmethod
    def presets(cls) -> Mapping[str, "SamCD"]:
        """Return the recipe as paper and code have it, as we advise, and without latents."""
        paper = replace(_PUBLISHED, every=True, normalised=True)
        return {
            "paper": cls(head=paper, cost=_ENTROPY, turns=1, rate=1e-3),
            "official": cls(head=_PUBLISHED, cost=_ENTROPY, turns=1, rate=1e-3),
            "plain": cls(head=replace(_HEAD, latents=0)),
            "recommended": cls(),
        }

    @property
    def legend(self) -> Legend:
        """Return what the channel of the answer means."""
        return CHANGE

    @property
    def stages(self) -> tuple["SamCD"]:
        """Return the recipe: it trains in one stage."""
        return (self,)

    def adapt(self, sam: Sam) -> tuple[Injected, ...]:
        """Inject bands, head and updates, and let nothing else train."""
        made: list[Injection] = [self.head]
        if self.bands != _RGB:
            made.insert(0, Bands(self.bands, self.rgb))
        if self.lora is not None:
            made.append(self.lora)
        return Tuning(tuple(made))(sam)

    def forward(self, sam: SamLike, batch: Batch) -> Outputs:
        """Encode both dates of each pair once, and compare them."""
        return self.aim(self.decode(sam, batch.encoded(sam)), batch)

    def decode(self, sam: SamLike, embedding: Embedding) -> tuple[ChangePrediction]:
        """Compare the dates of pairs that are encoded already, their features turned by chance."""
        view = VIEWS[int(torch.randint(self.turns, ()))]
        levels = {stride: view(level).contiguous() for stride, level in embedding.levels.items()}
        turned = Embedding(view(embedding.main).contiguous(), levels, embedding.frame)
        found = detect_change(sam, turned)
        latents = None if found.latents is None else view.undo(found.latents)
        # Turned back, the answer lies in its frame again, wherever that has its padding.
        return (replace(found, low_res=view.undo(found.low_res), latents=latents),)

    def aim(self, predictions: Sequence[Prediction], batch: Batch) -> Outputs:
        """Return the answers with the share of each cell that changed."""
        (prediction,) = predictions
        answer = answers_to_images(prediction, batch)
        return {"change": Answer(prediction, answer.target[:, None])}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return cross-entropy and Dice of the changes, and how far latents of the rest differ."""
        answer = outputs["change"]
        found, target = answer.prediction, answer.target
        seen = _cells(batch.labelled, found, found.low_res.shape[-1])[:, None]
        terms = self.cost.of_labels(found.low_res, target, seen)
        latents = found.latents if isinstance(found, ChangePrediction) else None
        if latents is None:
            return terms
        # A cell of which some part changed says nothing; nor does one that nobody labelled.
        changed, looked = (
            _cells(masks, found, latents.shape[-1])
            for masks in (batch.foregrounds(), batch.labelled)
        )
        silent = (changed > 0) | (looked == 0)
        before, after = latents.unbind(dim=1)
        cost = temporal_loss(before, after, silent, temperature=self.head.temperature)
        return {**terms, "temporal": self.temporal * cost}

    def answer(
        self, sam: SamLike, embedding: Embedding, prompts: Prompts | None = None
    ) -> ChangePrediction:
        """Return the change of each pair; the dates of a pair are beside one another.

        Raises:
            PromptError: prompts were given.
        """
        if prompts is not None:
            raise PromptError("sam_cd compares two dates and answers no prompts: leave them out")
        return detect_change(sam, embedding)

    @torch.no_grad()
    def predict(
        self, sam: SamLike, images: Images, prompts: Prompts | None = None
    ) -> ChangePrediction:
        """Encode pairs (B, T=2, C, H, W), or one (T=2, C, H, W), and compare; see `answer`.

        Raises:
            InputError: the images have no second date.
        """
        pairs = [images] if isinstance(images, Tensor) and images.ndim == _PAIR else list(images)
        if any(one.ndim != _PAIR or len(one) != _DATES for one in pairs):
            raise InputError("sam_cd compares two dates: give each place as (T=2, C, H, W)")
        dates = [date for pair in pairs for date in pair]
        return self.answer(sam, encode(sam, dates), prompts)

    @torch.no_grad()
    def measure(self, sam: SamLike, batch: Batch) -> dict[str, Float[Tensor, " n"]]:
        """Measure each pair: F1 and IoU of its changes, and the shares of pixels behind them."""
        prediction = self.answer(sam, batch.encoded(sam))
        rows = [
            _scores(prediction[i].logits[0, 0] > 0, true, seen)
            for i, (true, seen) in enumerate(zip(batch.foregrounds(), batch.labelled, strict=True))
        ]
        return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}

    def pooled(self, means: Mapping[str, float]) -> dict[str, float]:
        """Return the figures to tell, those of all pixels of all pairs among them.

        Pairs count alike, whatever their size.
        """
        shares = (means[name] for name in _SHARES)
        alone = {name: value for name, value in means.items() if name not in _SHARES}
        return {**alone, **ChangeCounts(*shares, 1.0).figures()}


def _cells(masks: Sequence[Tensor], found: Prediction, size: int) -> Float[Tensor, "n s s"]:
    """Return the share of masks in the cells of an answer, on its device."""
    cells = low_res_masks(masks, found.frame, size, images=found.images)
    return cells.to(found.low_res)


def _scores(found: Tensor, true: Tensor, seen: Tensor) -> dict[str, float]:
    true, seen = true.to(found.device), seen.to(found.device)
    found, true = found & seen, true & seen
    counts = ChangeCounts.of(found, true)
    return {
        "pair_f1": float(dice_score(found, true)),
        "pair_iou": float(iou_score(found, true)),
        **{name: getattr(counts, name) / counts.total for name in _SHARES},
    }
