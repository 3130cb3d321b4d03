"""Distributed training: one model that several ranks train, each on its share of every batch."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from nas.training.peers import Peers


def parallel(model: nn.Module, peers: Peers, device: torch.device) -> nn.Module:
    """Return the module that a step calls: the model or, with several ranks, DistributedDataParallel around it.

    Its backward pass averages gradients over the ranks. Some weights may get no gradient: edges of a cell that reach no
    output are built, too.
    """
    if peers.size == 1:
        return model
    gpus = [device] if device.type == "cuda" else None
    # buffers are not broadcast from rank 0 at each step: `sync_buffers` averages them when they are needed
    return DistributedDataParallel(
        model, device_ids=gpus, broadcast_buffers=False, find_unused_parameters=True, gradient_as_bucket_view=True
    )


def sync_buffers(model: nn.Module, peers: Peers) -> None:
    """All-reduce the running statistics of batch norms to their mean over the ranks."""
    peers.all_reduce_mean([buffer for buffer in model.buffers() if buffer.is_floating_point()])


def synchronise(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model with batch norms that compute their statistics over the batches of all ranks."""
    if device.type == "cuda":
        synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return synchronised
    # listed before it changes: new norms are not visited
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, _SharedBatchNorm.of(child))
    return model


@final
class _SharedBatchNorm(_BatchNorm):
    """Batch norm of (B, C, H, W) with the statistics of all ranks; torch's SyncBatchNorm runs on GPUs only.

    All ranks must have batches of the same size.
    """

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> _SharedBatchNorm:
        """Return a synchronised norm that shares the weights and buffers of `norm`."""
        own = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        # the same dicts, so that both norms stay one set of weights
        own._parameters, own._buffers, own.training = norm._parameters, norm._buffers, norm.training
        return own

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(f"a batch norm is given {tuple(input.shape)}: it takes (B, C, H, W)")

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        # two all-reduces, mean first: the variance of centred values is more exact than E[x^2] - E[x]^2
        mean = _mean_of_all(x.mean((0, 2, 3)))
        centred = x - mean[:, None, None]
        variance = _mean_of_all(centred.square().mean((0, 2, 3)))
        self._track(mean.detach(), variance.detach(), input.numel() // input.shape[1] * _processes())
        normalised = centred * (variance + self.eps).rsqrt()[:, None, None]
        if self.affine:
            normalised = normalised * self.weight[:, None, None] + self.bias[:, None, None]
        return normalised.to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Update the running statistics; `values` is the number of values per channel in all ranks."""
        if not self.track_running_stats:
            return
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        # the running variance is unbiased, as in torch
        self.running_var.lerp_(variance * values / max(1, values - 1), momentum)


def _mean_of_all(values: Tensor) -> Tensor:
    """Return the mean over the ranks, with gradients."""
    total: Tensor = _Total.apply(values)  # type: ignore[no-untyped-call]
    return total / _processes()


@final
class _Total(torch.autograd.Function):
    """Sum of a tensor over the ranks; the backward pass sums the gradients likewise."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # the total enters the loss of every rank, so its gradient is the sum of theirs
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


def _processes() -> int:
    return torch.distributed.get_world_size()
