"""The exponential moving average (EMA) of a model's weights."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of the model for the exponential moving average (EMA) of its weights and buffers.

    After each step `update_parameters(model)` takes decay * average + (1 - decay) * weights; after the first step it
    copies the weights. Polyak and Juditsky 1992; as torch defines it.
    """
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
