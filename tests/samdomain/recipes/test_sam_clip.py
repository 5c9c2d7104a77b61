import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from samdomain import Prompts, encode, load_adapter, load_sam, load_segmenter, save_adapter
from samdomain.adapter_file import AdapterCard
from samdomain.errors import InputError
from samdomain.features import FeatureHead, image_features, zero_shot_semantic
from samdomain.lora import LoRA
from samdomain.recipes import Batch, Recipe, SamCLIP, Stage, Tuning, preset, total
from samdomain.sam import Sam
from samdomain.testing import move_trained

HEAD = FeatureHead(dimensions=5, layers=1, heads=2)


class Colours(nn.Module):
    """A second model: what it sees in an image are its mean colours."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.out = nn.Linear(3, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.out(torch.stack([one.float().mean(dim=(1, 2)) for one in images]) / 255)


@pytest.fixture
def clip() -> SamCLIP:
    return SamCLIP(teacher=Colours(), head=HEAD, tuning=Tuning((LoRA(), HEAD)))


def boxed(sam: Sam, batch: Batch, recipe: SamCLIP) -> Tensor:
    boxes = Prompts(boxes=torch.tensor([[4.0, 4, 40, 40]]))
    return recipe.predict(sam.eval(), batch.images[0], boxes).low_res


def test_probing_leaves_masks_alone(
    sam: Sam, batch: Batch, clip: SamCLIP, fit: Callable[..., list[float]]
) -> None:
    """Stage 1 lowers the cost of the features, trains the head alone, and changes no mask."""
    before = boxed(sam, batch, clip)
    state = {key: one.clone() for key, one in sam.state_dict().items()}
    losses = fit(sam, clip, batch, 8)
    assert losses[-1] < losses[0]
    assert torch.equal(boxed(sam, batch, clip), before)
    assert all(torch.equal(sam.state_dict()[key], one) for key, one in state.items())
    trained = [name for name, one in sam.named_parameters() if one.requires_grad]
    assert trained
    assert all(name.startswith("mask_decoder.features.") for name in trained)


def test_rehearsal_costs_nothing_at_first(sam: Sam, batch: Batch, clip: SamCLIP) -> None:
    """Before the first step of stage 2 the masks are the source's."""
    clip.adapt(sam)
    merging = clip.stages[1]
    merging.adapt(sam)
    terms = merging.loss(merging.forward(sam, batch), batch)
    assert terms["rehearsal"].item() == 0
    assert terms["features"].item() > 0


def test_merging_learns_both(
    sam: Sam, batch: Batch, clip: SamCLIP, fit: Callable[..., list[float]]
) -> None:
    """Stage 2 trains head and updates, never the teacher nor the base."""
    clip.adapt(sam)
    merging = clip.stages[1]
    losses = fit(sam, merging, batch, 8)
    assert sum(losses[-2:]) < sum(losses[:2])
    assert all(one.grad is None for one in clip.teacher.parameters())
    trained = {name for name, one in sam.named_parameters() if one.requires_grad}
    assert any("lora" in name for name in trained)
    assert all("lora" in name or "features" in name for name in trained)


def test_images_without_masks_teach_features_alone(sam: Sam, batch: Batch, clip: SamCLIP) -> None:
    """A mixed batch rehearses where there are masks."""
    clip.adapt(sam)
    merging = clip.stages[1]
    merging.adapt(sam)
    mixed = Batch(batch.images, [batch.masks[0], torch.zeros(0, 64, 64, dtype=torch.bool)])
    step = merging.forward(sam, mixed)["step"]
    assert len(step.prediction) == 1
    assert step.features.shape == (2, 5)
    total(merging.loss({"step": step}, mixed)).backward()


def test_figures_are_shares(sam: Sam, batch: Batch, clip: SamCLIP) -> None:
    """At first the source agrees wholly; teachers agree from 0 to 1."""
    clip.adapt(sam)
    figures = clip.measure(sam.eval(), batch)
    assert torch.all(figures["source_agrees"] == 1)
    assert torch.all((figures["teacher_agrees"] >= 0) & (figures["teacher_agrees"] <= 1))


def test_its_adapter_names_classes_by_texts(
    sam: Sam, batch: Batch, clip: SamCLIP, tmp_path: Path
) -> None:
    """No teacher is needed for it; whoever asks without prompts or texts is told what to do."""
    for stage in clip.stages:
        stage.adapt(sam)
    move_trained(sam).eval()
    folder = tmp_path / "merged"
    save_adapter(sam, folder, AdapterCard(recipe=clip.name, options=clip.to_json()))
    loaded = load_adapter(folder, load_sam("tiny")).sam
    embedding, texts = encode(loaded, batch.images), torch.eye(2, 5)
    classes = zero_shot_semantic(texts, image_features(loaded, embedding).patches)
    expected = image_features(sam, encode(sam, batch.images)).patches
    torch.testing.assert_close(classes, zero_shot_semantic(texts, expected))
    with pytest.raises(InputError, match="a function that no file holds: give prompts"):
        load_segmenter(folder, load_sam("tiny"))
    with pytest.raises(InputError, match="zero_shot_semantic finds classes"):
        preset("sam_clip")


def test_it_is_a_recipe_but_for_its_teacher(clip: SamCLIP) -> None:
    """Both stages keep the protocol; what a card holds leaves the teacher out."""
    assert isinstance(clip, Recipe)
    assert all(isinstance(one, Stage) for one in clip.stages)
    assert "teacher" not in json.loads(json.dumps(clip.to_json()))
    with pytest.raises(InputError, match="has to name the head"):
        SamCLIP(teacher=Colours(), tuning=Tuning((LoRA(),)))
