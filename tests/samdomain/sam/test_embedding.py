from pathlib import Path

import pytest
import torch

from samdomain.errors import InputError
from samdomain.sam import Embedding, Sam, encode


@pytest.fixture
def embedding(tiny: Sam) -> Embedding:
    return encode(tiny, [torch.rand(3, 20, 30), torch.rand(3, 40, 64), torch.rand(3, 64, 64)])


def test_indexing_keeps_the_batch_and_the_frame(embedding: Embedding) -> None:
    """An integer, a slice and a tensor select images and their frames alike."""
    assert embedding[1].frame.sizes == ((40, 64),)
    assert embedding[-1].frame.sizes == ((64, 64),)
    assert len(embedding[:2]) == 2
    chosen = embedding[torch.tensor([2, 0])]
    assert torch.equal(chosen.main, embedding.main[[2, 0]])
    assert torch.equal(chosen.levels[4], embedding.levels[4][[2, 0]])
    assert chosen.frame.sizes == ((64, 64), (20, 30))


def test_to_casts_every_map(embedding: Embedding) -> None:
    """`to` reaches the embedding and each level."""
    half = embedding.to(torch.float16)
    assert {half.main.dtype, *(level.dtype for level in half.levels.values())} == {torch.float16}


def test_detach_cuts_the_graph(embedding: Embedding) -> None:
    """A detached embedding needs no gradient."""
    assert embedding.main.requires_grad
    assert not embedding.detach().main.requires_grad


def test_embedding_survives_a_file(embedding: Embedding, tmp_path: Path) -> None:
    """A saved embedding comes back with its levels and frame."""
    embedding.save(tmp_path / "e.safetensors")
    loaded = Embedding.load(tmp_path / "e.safetensors")
    assert torch.equal(loaded.main, embedding.main)
    assert list(loaded.levels) == list(embedding.levels)
    assert loaded.frame == embedding.frame


def test_another_file_is_refused(tmp_path: Path) -> None:
    """A file that `save` did not write is named."""
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"not tensors")
    with pytest.raises(InputError, match=r"other.safetensors is not an embedding"):
        Embedding.load(path)
