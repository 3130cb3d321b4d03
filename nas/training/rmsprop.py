"""RMSprop as TensorFlow 1 computes it, which torch does not offer."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer


@final
class TensorFlowRmsProp(Optimizer):
    """RMSprop with epsilon inside the root, a mean square that begins at 1, and a momentum of steps, not of gradients.

    s = decay s + (1 - decay) g^2, m = momentum m + lr g / sqrt(s + epsilon), w = w - m, as `tf.train.RMSPropOptimizer`.
    After a change of the learning rate m still has steps at the former rate; torch's has not. Weight decay is added to g.
    """

    def __init__(
        self, groups: list[Any], lr: float, decay: float, momentum: float, epsilon: float, weight_decay: float
    ) -> None:
        numbers = {"lr": lr, "decay": decay, "momentum": momentum, "epsilon": epsilon, "weight_decay": weight_decay}
        super().__init__(groups, numbers)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update the weights that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if weights := [weight for weight in group["params"] if weight.grad is not None]:
                self._update(weights, group)
        return loss

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        states = [self._state(weight) for weight in weights]
        squares, steps = ([state[name] for state in states] for name in ("mean_square", "step"))
        raw = [each.grad for each in weights if each.grad is not None]
        gradients = torch._foreach_add(raw, weights, alpha=group["weight_decay"])
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
        roots = torch._foreach_add(squares, group["epsilon"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(steps, group["momentum"])
        torch._foreach_addcdiv_(steps, gradients, roots, group["lr"])
        torch._foreach_sub_(weights, steps)

    def _state(self, weight: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[weight]
        if not state:
            state["mean_square"], state["step"] = torch.ones_like(weight), torch.zeros_like(weight)
        return state
