"""The toy problem of Real et al. 2019, appendix B: a string of bits, scored with noise."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import ClassVar

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.records import NonNegative, digest, record


@record
class NoisyBits(Evaluator):
    """Score a `Bits` by the share of ones plus Gaussian noise; `true_fitness` is the share without noise."""

    noise: NonNegative = 0.01
    instant: ClassVar[bool] = True

    def scores(self) -> tuple[str, ...]:
        return "fitness", "true_fitness"

    def test_scores(self) -> tuple[str, ...]:
        return ("true_fitness",)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        true = sum(job.architecture.values) / len(job.architecture.values)
        # seeded by a string, which Random hashes in the same way in every process
        noise = Random(f"{job.seed}/{job.number}/{digest(job.architecture)}").gauss(0.0, self.noise)
        return at_once({"fitness": true + noise, "true_fitness": true})

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        return at_once({"true_fitness": sum(job.architecture.values) / len(job.architecture.values)})
