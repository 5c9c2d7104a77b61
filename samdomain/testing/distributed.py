"""Whether an adapted model trains the same in several processes."""

import pickle
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from samdomain.change import ChangeDecoder, detect_change
from samdomain.classes import ClassHead, classify
from samdomain.features import FeatureDecoder, image_features
from samdomain.injection import injections
from samdomain.sam import Sam, encode
from samdomain.testing.injections import logits, made_image


class _Forward(nn.Module):
    """Give a model the forward pass that DistributedDataParallel wraps."""

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.sam = sam

    def forward(self) -> Tensor:
        answers = [logits(self.sam), *_beside_prompts(self.sam)]
        return torch.cat([one.flatten() for one in answers])


def _beside_prompts(sam: Sam) -> list[Tensor]:
    """Return what a head says that has parameters which no prompt reaches."""
    image = made_image(sam)
    match sam.mask_decoder:
        case ClassHead():
            return [classify(sam, encode(sam, image)).low_res]
        case ChangeDecoder():
            return [detect_change(sam, encode(sam, [image, image.flip(-1)])).low_res]
        case FeatureDecoder():
            found = image_features(sam, encode(sam, image))
            return [found.pooled, found.patches]
        case _:
            return []


def check_distributed(*sams: Sam, processes: int = 2) -> None:
    """Check that adapted models train under DistributedDataParallel (gloo, on the CPU).

    After two steps of training, each process with a loss of its own, all hold the same values.
    Every parameter that trains must take part in the forward pass.

    Args:
        *sams: models with their injections, trained one after the other; they are pickled and
            not changed.
        processes: number of processes on this machine, which take seconds to start.

    Raises:
        AssertionError: the processes hold different values.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = (processes, pickle.dumps(sams), Path(folder) / "store")
        spawn(_train_all, arguments, nprocs=processes)


def _train_all(rank: int, processes: int, pickled: bytes, store: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store.as_uri(), rank=rank, world_size=processes)
    try:
        for sam in pickle.loads(pickled):
            trained = _train(sam, rank)
            if not _is_equal(trained, processes):
                told = [record.injection for record in injections(sam)]
                raise AssertionError(f"processes that trained {told} together hold other values")
    finally:
        dist.destroy_process_group()


def _train(sam: Sam, rank: int) -> Tensor:
    """Train a model for two steps, and return the values of all that trained."""
    model = DistributedDataParallel(_Forward(sam.train()))
    trained = [one for one in sam.parameters() if one.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.01)
    for step in range(2):
        optimiser.zero_grad()
        (model() - rank - step).square().mean().backward()
        optimiser.step()
    return torch.cat([one.detach().flatten() for one in trained])


def _is_equal(mine: Tensor, processes: int) -> bool:
    all_of_them = [torch.empty_like(mine) for _ in range(processes)]
    dist.all_gather(all_of_them, mine)
    return all(torch.equal(one, mine) for one in all_of_them)
