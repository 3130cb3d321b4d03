"""Scoring without training: the accuracy of a network with the weights that it is built with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from nas.building import Node, build
from nas.data import Data, Split, split
from nas.evaluation.costs import COSTS, network_costs
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.evaluation.results import TestedNetwork, save_test
from nas.evaluation.training import TEST_SCORES, check_builds, facts_of, measure_on_test
from nas.history import Scores
from nas.plain import write
from nas.records import Natural, Positive, record
from nas.training import Execution, Recipe, best_device, evaluate, seeded
from nas.training.recalibration import CALIBRATION_IMAGES, recalibrate


@record
class Recalibrated(Evaluator):
    """Score each network, as it is built, by its accuracy on the validation images; its batch norms alone are recalibrated.

    For architectures that have trained weights, as slices of a module that exists. The norms get the statistics of
    `calibration_images` training images. `validation` is a fraction or a number of images, `images` limits the number of
    training images, `batch` is that of the calibration and of half an evaluation's.

    So candidates of a sliced supernet are scored in Yu and Huang 2019, arXiv:1903.05134, section 3.3, and those of FastNAS in
    NVIDIA's Model Optimizer, whose score is the user's own.
    """

    data: Data
    calibration_images: Positive = CALIBRATION_IMAGES
    validation: int | float = 0.2
    images: Positive | None = None
    split_seed: Natural = 0
    batch: Positive = 64

    def prepare(self, space: Any) -> dict[str, Any]:
        return facts_of(self.split_images())

    def scores(self) -> tuple[str, ...]:
        return ("validation_top1_percent", *COSTS)

    def check(self, task: Task) -> None:
        check_builds(task)

    def costs(self, task: Task, architecture: Any) -> Scores:
        return network_costs(task.network(architecture), task.input)

    def test_scores(self) -> tuple[str, ...]:
        return (*TEST_SCORES, *COSTS)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        images, network = self.split_images(), task.network(job.architecture)
        model = self._recalibrated(network, images, job.seed)
        top1 = evaluate(model, images.validation, images, self._recipe()).top1_percent
        return at_once({"validation_top1_percent": top1, **network_costs(network, images.shape)})

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        images, network = self.split_images(), task.network(job.architecture)
        model = self._recalibrated(network, images, job.seed)
        measured = measure_on_test(model, None, images, self._recipe(), Execution())
        if weights is not None:
            description = write(task.found(job.architecture)) if task.family else ""
            save_test(weights, TestedNetwork(network, model, None, measured, description))
        tested = {"test_top1_percent": measured.raw.top1_percent, "test_top5_percent": measured.raw.top5_percent}
        return at_once({**tested, **network_costs(network, images.shape)})

    def split_images(self) -> Split:
        """Return the images, split into those to calibrate on and those to validate on; the test images stay closed."""
        return split(self.data, self.validation, self.split_seed, self.images)

    def _recalibrated(self, network: Node, images: Split, seed: int) -> nn.Module:
        with seeded(seed):
            model = build(network, images.shape).to(best_device())
        recalibrate(model, images, self._recipe(), self.calibration_images)
        return model

    def _recipe(self) -> Recipe:
        return Recipe(batch=self.batch)
