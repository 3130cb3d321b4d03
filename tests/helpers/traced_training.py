"""An evaluator for tests: trains, and logs the process that ran each epoch of each job."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task
from nas.evaluation.training import Training
from nas.records import record


@record
class TracedTraining(Evaluator):
    """Train by `training`, and append a line to `log` after each epoch."""

    log: str
    training: Training

    def prepare(self, space: Any) -> dict[str, Any]:
        return self.training.prepare(space)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        epochs = self.training.evaluate(task, job)
        while True:
            try:
                progress = next(epochs)
            except StopIteration as end:
                return end.value
            line = {"number": job.number, "epoch": int(progress.epoch), "pid": os.getpid()}
            with Path(self.log).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            yield progress

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        return self.training.test(task, job, weights)
