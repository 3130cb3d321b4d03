"""Several trained networks that predict together: the mean of their logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from nas.evaluation.evaluator import Evaluation, Evaluator, Progress
from nas.evaluation.evaluator_chain import parts_in
from nas.evaluation.results import save_measured
from nas.evaluation.trained_network import TrainedNetwork
from nas.evaluation.training import Training, measure_on_test
from nas.records import RecordError


@final
class AveragedLogits(nn.Module):
    """Networks side by side; the output is the mean of their logits, (B, classes)."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        outputs = [network(x) for network in self.networks]
        # a network with an auxiliary classifier returns both outputs
        logits = [output[0] if isinstance(output, tuple) else output for output in outputs]
        return torch.stack(logits).mean(0)


def training_of(evaluator: Evaluator) -> Training:
    """Return the training that tests for an evaluator. Raises RecordError where it tests by something else."""
    last = parts_in(evaluator)[-1]
    if not isinstance(last, Training):
        raise RecordError(
            f"final.ensemble averages the logits of trained networks, and {type(last).__name__} trains none: leave it out",
            "final.ensemble",
        )
    return last


def test_ensemble(training: Training, trained: Sequence[TrainedNetwork]) -> Evaluation:
    """Test the mean of the networks' logits, and write the result next to their weights, as ensemble.test.json."""
    yield Progress(shown={"networks": len(trained)})
    images = training.split_images()
    model = AveragedLogits([each.model() for each in trained])
    measured = measure_on_test(model, None, images, training.recipe, training.execution)
    save_measured(trained[0].weights.with_name("ensemble.safetensors"), measured)
    accuracy = measured.decisive
    params = sum(each.numel() for each in model.parameters())
    return {"test_top1_percent": accuracy.top1_percent, "test_top5_percent": accuracy.top5_percent, "params": params}
