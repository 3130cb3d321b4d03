"""Slicing: a module with the most important channels of each group, and their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.modules.groups import ChannelGroup, makes_channels, take_out
from nas.morphisms.ordering import Importance
from nas.records import RecordError


def slice_module(
    module: nn.Module, groups: Sequence[ChannelGroup], kept: Mapping[str, int], by: Importance = "l1"
) -> None:
    """Keep the most important channels of each group in place, in their order: `kept` numbers, by the group's layer.

    A module on the meta device, which has no weights, keeps the first ones.
    """
    gone = {}
    for group in groups:
        count = kept.get(group.layer, group.channels)
        if count < group.channels:
            scores = importance(module, group, by)
            # stable, so that of equal channels the first ones stay
            order = range(group.channels) if scores.is_meta else torch.argsort(scores, descending=True, stable=True)
            gone[group.layer] = [int(each) for each in order[count:]]
    take_out(module, groups, gone)


@torch.no_grad()
def importance(module: nn.Module, group: ChannelGroup, by: Importance) -> Tensor:
    """Return the importance of each channel of a group, (C,): the sum over the layers that make it, as `nas prune` has it.

    L1: Li et al. 2017, arXiv:1608.08710, section 3.1. L2: Yang et al. 2018, arXiv:1804.03230, section 3.3. Scales: Liu et al.
    2017, arXiv:1708.06519, section 3. Fang et al. 2023, arXiv:2301.12900, equation 4, also add the norms of what reads it.
    Raises RecordError where there are no scales.
    """
    found, is_known = torch.zeros(group.channels, dtype=torch.float64, device=_device(module)), False
    for cut in group.cuts:
        layer: Any = module.get_submodule(cut.layer)
        if by == "norm_scale":
            if not isinstance(layer, nn.modules.batchnorm._BatchNorm) or not layer.affine:
                continue
            each = layer.weight.abs().double()
        else:
            if not cut.is_output or not makes_channels(layer):
                continue
            each = layer.weight.flatten(1).double().norm(1 if by == "l1" else 2, 1)
        is_known = True
        found = found + torch.stack([each[list(entries)].sum() for entries in cut.entries])
    if not is_known:
        raise RecordError(f"the channels of layer {group.layer!r} have no batch norm: rank them by l1 or l2", "by")
    return found


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
