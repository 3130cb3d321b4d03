"""Scoring of architectures by their paths in a trained supernet."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, final

from torch import nn

from nas.data.split import Split
from nas.evaluation.costs import network_costs
from nas.evaluation.evaluator import Evaluation, Job, Task
from nas.history import Scores
from nas.plain import write
from nas.records import digest
from nas.supernets.elastic_method import Elastic, ElasticNet, supernet_of
from nas.supernets.execution import apply_execution
from nas.supernets.recipe import SupernetSearch
from nas.supernets.supernet import Supernet
from nas.training import best_device, evaluate, load_weights, save_weights, to_device

PATH_SCORES = ("validation_top1_percent", "params", "macs", "seconds")
"""The scores of an architecture evaluated as a path, beside those of what the search measures."""


def path_scores(declared: SupernetSearch) -> tuple[str, ...] | None:
    """Return the names of the scores of a path; None where the evaluator does not know its own."""
    measured = () if declared.measures is None else declared.measures.scores()
    return None if measured is None else (*PATH_SCORES, *measured)


@final
class PathScores:
    """Scores jobs by their path's accuracy on the alphas' images; each worker loads the supernet once."""

    def __init__(self, declared: SupernetSearch, task: Task, weights: Path) -> None:
        self.declared, self.task, self.weights = declared, task, weights

    def __getstate__(self) -> dict[str, Any]:
        return {"declared": self.declared, "task": self.task, "weights": self.weights}

    @cached_property
    def _supernet(self) -> Supernet | ElasticNet:
        """The trained supernet, on the device."""
        supernet = supernet_of(self.task.space, self.task.network, self.declared.method, self.task.input)
        apply_execution(supernet, self.declared, self.declared.method.phases(self.declared.epochs, 0))
        load_weights(supernet.model, self.weights)
        to_device(supernet.model, self.declared.weights, best_device())
        return supernet

    def __call__(self, job: Job) -> Evaluation:
        """Score one architecture; outside a limit of the task it is measured and not classified."""
        started, split = perf_counter(), self.declared.split()
        scores = dict(self.costs(job.architecture))
        if self.declared.measures is not None:
            scores |= yield from self.declared.measures.evaluate(self.task, job)
        if not self.task.is_outside(scores):
            path = self._path(job.architecture, split)
            measured = evaluate(path, split.validation, split, self.declared.weights, best_device())
            scores["validation_top1_percent"] = measured.top1_percent
        return {**scores, "seconds": perf_counter() - started}

    def costs(self, architecture: Any) -> Scores:
        """Return what is known of an architecture before it is scored."""
        return network_costs(self.task.network(architecture), self.task.input)

    @property
    def are_networks(self) -> bool:
        """Whether a path is a network that can be used as it is, without retraining."""
        return isinstance(self.declared.method, Elastic)

    def write(self, architecture: Any, scores: Scores, file: Path) -> None:
        """Write the network of a path with its weights, described inside the file; only where paths are networks."""
        assert isinstance(self._supernet, ElasticNet)
        model = self._supernet.take_out(architecture, self.declared.split(), self.declared.weights)
        save_weights(model, file, digest(self.task.network(architecture)), write(self.task.found(architecture, scores)))

    def _path(self, architecture: Any, split: Split) -> nn.Module:
        if isinstance(self._supernet, ElasticNet):
            return self._supernet.take_out(architecture, split, self.declared.weights)
        self._supernet.take(self.task.space, architecture)
        return self._supernet
