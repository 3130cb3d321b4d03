"""Scoring of architectures by their paths in a trained supernet."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, final

from nas.evaluation.costs import network_costs
from nas.evaluation.evaluator import Evaluation, Job, Task, at_once
from nas.supernets.execution import apply_execution
from nas.supernets.recipe import SupernetSearch
from nas.supernets.supernet import Supernet
from nas.training import best_device, evaluate, load_weights, to_device

PATH_SCORES = ("validation_top1_percent", "params", "macs", "seconds")
"""The scores of an architecture evaluated as a path."""


@final
class PathScores:
    """Scores jobs by their path's accuracy on the alphas' images; each worker loads the supernet once."""

    def __init__(self, declared: SupernetSearch, task: Task, weights: Path) -> None:
        self.declared, self.task, self.weights = declared, task, weights

    def __getstate__(self) -> dict[str, Any]:
        return {"declared": self.declared, "task": self.task, "weights": self.weights}

    @cached_property
    def _supernet(self) -> Supernet:
        """The trained supernet, on the device."""
        supernet = Supernet(self.task.network(self.task.space), self.declared.method, self.task.input)
        apply_execution(supernet, self.declared, self.declared.method.phases(self.declared.epochs, 0))
        load_weights(supernet.model, self.weights)
        to_device(supernet.model, self.declared.weights, best_device())
        return supernet

    def __call__(self, job: Job) -> Evaluation:
        """Score one architecture."""
        started, split = perf_counter(), self.declared.split()
        self._supernet.take(self.task.space, job.architecture)
        recipe = self.declared.weights
        measured = evaluate(self._supernet, split.validation, split, recipe, best_device())
        costs = network_costs(self.task.network(job.architecture), self.task.input)
        scores = {**costs, "seconds": perf_counter() - started}
        return at_once({"validation_top1_percent": measured.top1_percent, **scores})
