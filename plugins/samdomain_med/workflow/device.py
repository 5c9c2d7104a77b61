"""The device that a bundle runs on."""

import os

import torch


def choose_device() -> torch.device:
    """Return the GPU of this process where there is one, else the CPU.

    Processes that `torchrun` starts have a GPU each, by their number on the machine.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
