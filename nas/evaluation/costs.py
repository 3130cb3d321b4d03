"""The costs of an architecture's network, which no training is needed for."""

from __future__ import annotations

from typing import Any, ClassVar

from nas.building import Node, Shape
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.history import Scores
from nas.profiling import profile
from nas.records import record

COSTS = ("params", "macs")
"""The scores that a network has without an evaluation."""


def network_costs(network: Node, input: Shape) -> dict[str, float]:
    """Return the costs of a network as scores."""
    cost = profile(network, input)
    return {"params": cost.params, "macs": cost.macs}


@record
class Costs(Evaluator):
    """Score an architecture by the parameters and the multiply-adds (MACs) of its network."""

    instant: ClassVar[bool] = True

    def scores(self) -> tuple[str, ...]:
        return COSTS

    def costs(self, task: Task, architecture: Any) -> Scores:
        return network_costs(task.network(architecture), task.input)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        return at_once(self.costs(task, job.architecture))
