"""Scoring by training: build the network, train it, measure it on images that it was not trained on."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from torch import nn

from nas.build import Node, build
from nas.data import Data, Split, split
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task
from nas.profile import profile
from nas.record import Natural, Positive, RecordError, record
from nas.space import sample
from nas.training import Recipe, evaluate, save_weights, seeded, train

TRIED = 5
"""How many architectures are drawn to see whether any can be built."""


@record
class Training(Evaluator):
    """Train each architecture by `recipe` and score it by its accuracy on the validation images.

    `validation` is a fraction or a number of images, `images` limits those trained on. A candidate is trained from the
    start, with a seed of its own; cut off, it goes on from its last epoch.
    """

    data: Data
    recipe: Recipe = Recipe()
    validation: int | float = 0.2
    images: Positive | None = None
    split_seed: Natural = 0
    checkpoint_seconds: float = 0.0

    def prepare(self, space: Any) -> dict[str, Any]:
        images = self._split()
        return {"classes": len(images.classes), "input": images.shape}

    def check(self, task: Task) -> None:
        """Try to build one of a few drawn architectures, without its memory, and to run it on one image."""
        rng, reasons = Random(0), list[str]()
        for _ in range(TRIED):
            try:
                profile(task.network(sample(task.space, rng)), task.input)
            except (RecordError, RuntimeError) as error:
                reasons.append(" ".join(str(error).split()))
            else:
                return
        raise RecordError(f"none of {TRIED} architectures drawn from the space builds, the first because {reasons[0]}")

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        images, network = self._split(), task.network(job.architecture)
        scores = yield from self._train(_built(network, job, images), network, job, images)
        return scores

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        images, network = self._split(), task.network(job.architecture)
        model = _built(network, job, images)
        scores = yield from self._train(model, network, job, images)
        measured = evaluate(model, images.open_test(), images, self.recipe)
        if weights is not None:
            save_weights(model, weights)
        return {"test_top1_percent": measured.top1_percent, **scores}

    def _split(self) -> Split:
        return split(self.data, self.validation, self.split_seed, self.images)

    def _train(self, model: nn.Module, network: Node, job: Job, images: Split) -> Evaluation:
        cost = profile(network, images.shape)
        accuracy, seconds = float("nan"), 0.0
        epochs = train(
            model,
            images,
            self.recipe,
            seed=job.seed,
            checkpoint=job.checkpoint,
            checkpoint_seconds=self.checkpoint_seconds,
        )
        for epoch in epochs:
            seconds += epoch.seconds
            accuracy = epoch.validation_top1_percent if epoch.validation_top1_percent is not None else accuracy
            yield {
                "epoch": epoch.epoch,
                "epochs": epoch.epochs,
                "loss": epoch.loss,
                "validation_top1_percent": accuracy,
            }
        costs = {"params": cost.params, "macs": cost.macs, "seconds": seconds}
        return {"validation_top1_percent": accuracy, **costs}


def _built(network: Node, job: Job, images: Split) -> nn.Module:
    with seeded(job.seed):
        return build(network, images.shape)
