import pytest
import torch

from samdomain import encode, merge
from samdomain.errors import InjectionError, InputError, MergeError
from samdomain.features import FeatureHead, image_features, zero_shot_semantic
from samdomain.sam import Sam
from samdomain.testing import check_injection, tiny_sam

HEAD = FeatureHead(dimensions=6, layers=1, heads=2)


def test_a_head_keeps_to_the_contract_of_injections() -> None:
    """Masks stay as they are, keys too, and a plain checkpoint still loads."""

    def ask(sam: Sam) -> torch.Tensor:
        image = torch.rand((3, 64, 64), generator=torch.Generator().manual_seed(0)) * 255
        return image_features(sam, encode(sam, image)).patches

    check_injection(tiny_sam(), HEAD, ask=ask)


def test_features_have_an_image_and_its_patches() -> None:
    """The image's features are the mean of its patches'."""
    sam = tiny_sam()
    HEAD(sam)
    found = image_features(sam, encode(sam, torch.rand(2, 3, 64, 64) * 255))
    assert found.patches.shape == (2, 6, 16, 16)
    torch.testing.assert_close(found.pooled, found.patches.mean(dim=(2, 3)))


def test_a_model_without_a_head_says_so() -> None:
    """It is asked for by name; a merge refuses to lose it; nonsense is refused."""
    sam = tiny_sam()
    embedding = encode(sam, torch.rand(3, 64, 64))
    with pytest.raises(InputError, match="FeatureHead"):
        image_features(sam, embedding)
    HEAD(sam)
    with pytest.raises(MergeError, match="no place in a plain decoder"):
        merge(sam)
    with pytest.raises(InjectionError, match="1 or more"):
        FeatureHead(layers=0)
    with pytest.raises(InjectionError, match="do not share out"):
        FeatureHead(heads=3)(tiny_sam())


def test_a_patch_has_the_class_of_the_closest_text() -> None:
    """Vectors at right angles are told apart, and the cosine is told."""
    texts = torch.tensor([[2.0, 0], [0, 5]])
    patches = torch.tensor([[[3.0, 0, 1]], [[0, 7, 1]]])  # (d, 1, 3)
    found = zero_shot_semantic(texts, patches)
    torch.testing.assert_close(found[:, 0], torch.tensor([[1, 0, 0.5**0.5], [0, 1, 0.5**0.5]]))


def test_texts_permute_classes_and_their_length_means_nothing() -> None:
    """Another order is another order of maps; scaled texts give the same maps."""
    texts, patches = torch.randn(4, 6), torch.randn(2, 6, 3, 5)
    found = zero_shot_semantic(texts, patches)
    assert found.shape == (2, 4, 3, 5)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(zero_shot_semantic(texts[order], patches), found[:, order])
    scaled = zero_shot_semantic(texts * torch.tensor([[0.1], [2], [3], [40]]), patches)
    torch.testing.assert_close(scaled, found)
