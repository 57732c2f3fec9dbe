"""AdamW whose moments of matrices live in a subspace of their gradients.

Zhao et al., "GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection", ICML 2024,
algorithm 2. Unlike the published packages it keeps all of its state in tensors, so that a run
can be resumed from a checkpoint that is read without unpickling code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class GaLoreAdamW(Optimizer):
    """AdamW; 2-D parameters with both sides above ``rank`` have their gradients projected."""

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float,
        rank: int,
        update_every: int,
        scale: float,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0}
        super().__init__(
            params, {**defaults, "rank": rank, "update_every": update_every, "scale": scale}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        projected = parameter.ndim == 2 and min(parameter.shape) > group["rank"]
        if not state:
            state["step"] = torch.tensor(0.0)
        if projected:
            if state["step"] % group["update_every"] == 0:
                state["basis"] = _basis(gradient, group["rank"])
            gradient = _project(gradient, state["basis"])
        if "exp_avg" not in state:
            state["exp_avg"] = torch.zeros_like(gradient)
            state["exp_avg_sq"] = torch.zeros_like(gradient)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        first = state["exp_avg"].lerp_(gradient, 1 - beta1)
        second = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        steps = float(state["step"])
        spread = (second / (1 - beta2**steps)).sqrt().add_(group["eps"])
        update = first / (1 - beta1**steps) / spread
        if projected:
            update = group["scale"] * _expand(update, state["basis"], parameter.shape)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update, alpha=-group["lr"])


def _basis(gradient: Tensor, rank: int) -> Tensor:
    """(shorter side, rank) leading singular vectors of the gradient."""
    left, _, right = torch.linalg.svd(gradient.float(), full_matrices=False)
    rows, columns = gradient.shape
    basis: Tensor = left[:, :rank] if rows <= columns else right[:rank].T
    return basis.to(gradient.dtype).contiguous()


def _project(gradient: Tensor, basis: Tensor) -> Tensor:
    rows, columns = gradient.shape
    return basis.T @ gradient if rows <= columns else gradient @ basis


def _expand(update: Tensor, basis: Tensor, shape: torch.Size) -> Tensor:
    rows, columns = shape
    return basis @ update if rows <= columns else update @ basis.T
