"""Several processes that train one network, through Hugging Face Accelerate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from repsam_ros.errors import BackendError, ConfigError


class Team:
    """The processes that ``torchrun`` started, on one machine or several, or this one alone.

    Attributes:
        size: Number of processes.
        rank: Number of this one; 0 leads: it makes the data, logs and saves.
        device: What this process trains on; of several GPUs each process gets its own.
    """

    def __init__(self, device: torch.device, alone: bool = False) -> None:
        """Joins the others; ``alone`` leaves them aside."""
        self._engine = None
        self.size, self.rank, self.device = 1, 0, device
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not alone:
            self._engine = _engine(device)
            self.size, self.rank = self._engine.num_processes, self._engine.process_index
            self.device = self._engine.device

    @property
    def leads(self) -> bool:
        """Whether this process makes the data, logs and saves."""
        return self.rank == 0

    def share(self, module: nn.Module) -> nn.Module:
        """The module with gradients that are averaged over the processes in each backward pass."""
        return module if self._engine is None else self._engine.prepare_model(module)

    def keep_apart(self, module: nn.Module) -> AbstractContextManager[Any]:
        """Backward passes inside only add to this process's gradients."""
        return nullcontext() if self._engine is None else self._engine.no_sync(module)

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self._engine is not None:
            self._engine.wait_for_everyone()

    def any(self, value: bool) -> bool:
        """Whether ``value`` is true in any process."""
        if self._engine is None:
            return value
        flag = torch.tensor([float(value)], device=self.device)
        self.average([flag])
        return bool(flag.item() > 0)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its mean over the processes."""
        if self._engine is None or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        flat = self._engine.reduce(flat, "mean")
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.reshape(tensor.shape))

    def close(self) -> None:
        """Leaves the team at the end of a training."""
        if self._engine is not None:
            self._engine.end_training()


def _engine(device: torch.device) -> Any:
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ImportError as error:
        raise BackendError(
            "several processes need Accelerate: pip install 'repsam_ros[adaptation]'"
        ) from error
    if device.type == "cuda" and device.index is not None:
        raise ConfigError(f"device {device}: under torchrun say cuda, each process gets its own")
    # Parts that lie idle in a step, such as tokens of masks nobody asked for, have no gradients.
    # Running means of norms are averaged by the trainer, not copied from one process.
    ddp = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    return Accelerator(cpu=device.type == "cpu", kwargs_handlers=[ddp])
