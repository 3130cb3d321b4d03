"""Execution: how a supernet's forward pass is computed: grouped, compiled, or with less memory. The function is the same."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nas.records import RecordError
from nas.supernets.elastic_method import ElasticNet
from nas.supernets.grouped import group_cells
from nas.supernets.method import Phase
from nas.supernets.recipe import SupernetSearch
from nas.supernets.supernet import Supernet


def apply_execution(supernet: Supernet | ElasticNet, declared: SupernetSearch, phases: tuple[Phase, ...]) -> None:
    """Set up a supernet's execution as declared, in place. Raises RecordError where its method does not allow it."""
    if isinstance(supernet, ElasticNet):
        if declared.compile_cells or declared.checkpoint_cells:
            raise RecordError(
                f"{type(declared.method).__name__} computes slices of a store, which compile_cells and checkpoint_cells do not "
                "allow: leave them out"
            )
        return
    if _is_grouped(declared, phases):
        group_cells(supernet.model)
    layers = getattr(supernet.model, "layers", nn.ModuleList())
    for i, layer in enumerate(layers):
        if declared.compile_cells:
            layer.compile()  # in place, and before the checkpoint wraps it
        if declared.checkpoint_cells:
            layers[i] = Recomputed(layer)


def _is_grouped(declared: SupernetSearch, phases: tuple[Phase, ...]) -> bool:
    """Return whether cells are grouped. Raises RecordError where "grouped" is asked for and the method does not allow it."""
    keeps_weights = any(phase.keep_weights for phase in phases)  # stacked weights cannot be transplanted
    allowed = declared.method.mixes_all and not keeps_weights
    if declared.execution == "grouped" and not allowed:
        why = "keeps weights from phase to phase" if keeps_weights else "computes only some of the options"
        raise RecordError(
            f"supernet.execution is 'grouped', and {type(declared.method).__name__} {why}: leave it out, or give 'plain'"
        )
    return allowed and declared.execution != "plain"


@final
class Recomputed(nn.Module):
    """A layer that stores only its inputs and is recomputed in the backward pass (gradient checkpointing)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> Any:
        if not torch.is_grad_enabled():
            return self.layer(*inputs)
        return checkpoint(self.layer, *inputs, use_reentrant=False)
