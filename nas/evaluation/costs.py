"""The costs of an architecture's network, which no training is needed for."""

from __future__ import annotations

from typing import Any

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.history import Scores
from nas.profiling import profile
from nas.records import record


@record
class Costs(Evaluator):
    """Score an architecture by the parameters and the multiply-adds (MACs) of its network."""

    def scores(self) -> tuple[str, ...]:
        return "params", "macs"

    def costs(self, task: Task, architecture: Any) -> Scores:
        cost = profile(task.network(architecture), task.input)
        return {"params": cost.params, "macs": cost.macs}

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        return at_once(self.costs(task, job.architecture))
