"""Several processes that train one network, through ``torch.distributed``."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor, distributed


class Team:
    """The processes that ``torchrun`` started, or this one alone.

    Attributes:
        size: Number of processes.
        rank: Number of this one; 0 leads: it makes the data, logs and saves.
    """

    def __init__(self, device: torch.device) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = device
        if self.size > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")

    @property
    def leads(self) -> bool:
        """Whether this process makes the data, logs and saves."""
        return self.rank == 0

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self.size > 1:
            distributed.barrier()

    def any(self, value: bool) -> bool:
        """Whether ``value`` is true in any process."""
        if self.size == 1:
            return value
        flag = torch.tensor([float(value)], device=self.device)
        distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
        return bool(flag.item() > 0)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its mean over the processes."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.reshape(tensor.shape))

    def close(self) -> None:
        """Leaves the team at the end of a training."""
        if self.size > 1:
            distributed.destroy_process_group()
