import copy

import pytest

from samdomain import add_lora, trainable_parameters
from samdomain.errors import InputError
from samdomain.policies import PARTS, freeze_parts, train_only, train_parts
from samdomain.sam import Sam


@pytest.fixture
def sam(tiny: Sam) -> Sam:
    return copy.deepcopy(tiny)


def trained(sam: Sam) -> set[str]:
    return set(trainable_parameters(sam).names)


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_part_is_all_that_trains(sam: Sam, part: str) -> None:
    """Every name under the part trains, and no other."""
    names = {name for name, _ in sam.named_parameters() if name.startswith(PARTS[part])}
    assert set(train_only(sam, [part])) == trained(sam) == names


def test_norms_and_biases_are_found_by_kind(sam: Sam) -> None:
    """Batch, layer and SAM's own normalisations count; biases are any module's."""
    names = set(train_only(sam, ["encoder.norms"]))
    assert "image_encoder.patch_embed.conv1.bn.weight" in names
    assert "image_encoder.stages.1.blocks.0.attn.norm.bias" in names
    assert "image_encoder.neck.1.weight" in names
    assert not any("conv.weight" in name or "qkv" in name for name in names)
    assert all(name.endswith(".bias") for name in train_only(sam, ["decoder.biases"]))


def test_parts_combine(sam: Sam) -> None:
    """The neck's norms and the decoder train together."""
    names = train_only(sam, ["decoder", "encoder.neck.norms"])
    assert {name.split(".")[0] for name in names} == {"image_encoder", "mask_decoder"}
    assert sum(name.startswith("image_encoder") for name in names) == 4


def test_last_blocks_end_with_the_neck(sam: Sam) -> None:
    """One block of three and the neck; the decoder is not narrowed."""
    names = train_only(sam, ["encoder", "decoder"], last=1)
    places = {".".join(name.split(".")[:3]) for name in names if name.startswith("image")}
    assert {place for place in places if "neck" not in place} == {"image_encoder.stages.3"}
    assert not any("downsample" in name for name in names)
    assert "mask_decoder.iou_token.weight" in names


def test_too_many_blocks_are_refused(sam: Sam) -> None:
    """The message says how many there are."""
    with pytest.raises(InputError, match="has 4 blocks"):
        train_only(sam, ["encoder"], last=5)


def test_what_was_injected_trains_on(sam: Sam) -> None:
    """`train_only` sets the base's parameters; `freeze_parts` stops injections too."""
    record = add_lora(sam, ["encoder.q", "decoder.q"])
    names = train_only(sam, ["prompt_encoder"])
    assert trained(sam) == {*names, *record.added}
    freeze_parts(sam, ["encoder"])
    assert trained(sam) == {*names, *(key for key in record.added if key.startswith("mask_"))}
    train_parts(sam, ["encoder.neck"])
    assert "image_encoder.neck.0.weight" in trained(sam)


@pytest.mark.parametrize("part", ["neck", "encoder.weights", "norms"])
def test_unknown_parts_are_refused(sam: Sam, part: str) -> None:
    """The message lists what is allowed."""
    with pytest.raises(InputError, match=r"allowed are encoder.*\.norms or \.biases"):
        train_parts(sam, [part])


def test_the_table_counts_each_part(sam: Sam) -> None:
    """One row a part, and their sum; an adapted model counts what was added."""
    add_lora(sam, last=1)  # q and v of 32 channels at rank 4
    table = trainable_parameters(sam)
    assert [row.part for row in table.parts] == ["image_encoder", "prompt_encoder", "mask_decoder"]
    assert table.trainable == table.parts[0].trainable == 2 * 4 * (32 + 32)
    assert table.total == sum(one.numel() for one in sam.parameters())
    assert table.percent == pytest.approx(100 * 512 / table.total)
    lines = str(table).splitlines()
    assert len(lines) == 5
    assert lines[-1].split()[:2] == ["all", "512"]
