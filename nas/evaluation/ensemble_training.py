"""Scoring of growing ensembles: a new member is trained with the others frozen. Cortes et al. 2017, arXiv:1607.01097 (AdaNet)."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.building import Shape, build
from nas.data import Data, Split
from nas.evaluation.costs import COSTS, network_costs
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task
from nas.evaluation.results import TestedNetwork, save_test
from nas.evaluation.training import TEST_SCORES, Training, facts_of, measure_on_test, reported
from nas.history import Scores
from nas.plain import write
from nas.profiling import profile
from nas.records import Natural, NonNegative, Positive, RecordError, record
from nas.topology.ensemble import Ensemble, EnsembleModule
from nas.training import Epoch, Execution, Recipe, evaluate, mixed_seed, seeded, train
from nas.training.checkpoint import read_weights

OBJECTIVE = "ensemble_objective"


@record
class EnsembleTraining(Evaluator):
    """Train the last member of an ensemble by `recipe` together with all mixture weights, while the other members are frozen.

    The ensemble so far is that of the proposal's parent. Without a parent, and in a test, members are trained one after the
    other, each by the whole recipe. The new member learns what the others leave: the loss is that of the sum of all logits, to
    which sum_j (`complexity` r_j + `beta`) |w_j|_1 is added, w_j the mixture weights of member j and r_j the square root of its
    depth in layers. The score `ensemble_objective` is this sum over all training images, in evaluation mode: the objective F of
    the paper, with the cross-entropy for its surrogate of the zero-one loss.

    The paper bounds the Rademacher complexity of a family by r_j, and steps along one mixture weight at a time; here all weights
    learn by SGD, as in the simplified form, Weill et al. 2019, arXiv:1905.00080, which trains a member for its own loss besides.
    A recipe's weight decay acts on mixture weights, too. An evaluation resumes from its checkpoints as `Training` does.
    """

    data: Data
    recipe: Recipe = Recipe()
    complexity: NonNegative = 0.0
    beta: NonNegative = 0.0
    validation: int | float = 0.2
    images: Positive | None = None
    split_seed: Natural = 0
    execution: Execution = Execution()

    @property
    def inherits(self) -> bool:
        return True

    @property
    def training(self) -> Training:
        """The training of a network on the same images."""
        return Training(self.data, self.recipe, self.validation, self.images, self.split_seed, self.execution)

    def prepare(self, space: Any) -> dict[str, Any]:
        return facts_of(self.training.split_images())

    def scores(self) -> tuple[str, ...]:
        return (OBJECTIVE, *self.training.scores())

    def screening_scores(self) -> tuple[str, ...]:
        return COSTS

    def test_scores(self) -> tuple[str, ...]:
        return (*TEST_SCORES, *self.scores())

    def full_epochs(self) -> int | None:
        return None

    def check(self, task: Task) -> None:
        if self.execution.accumulate > 1 or self.recipe.ema:
            raise RecordError(
                "EnsembleTraining takes each batch at once and no moving average: set execution.accumulate=1 and recipe.ema=0"
            )
        self.training.check(task)

    def costs(self, task: Task, architecture: Any) -> Scores:
        return network_costs(task.network(architecture), task.input)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        images = self.training.split_images()
        network = _ensemble(task, job.architecture)
        if job.epochs == 0:
            return network_costs(network, images.shape)
        _, scores = yield from self._grow(task, network, job, images)
        return scores

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        images, network = self.training.split_images(), _ensemble(task, job.architecture)
        model, scores = yield from self._grow(task, network, replace(job, parent=None), images, weights)
        measured = measure_on_test(model, None, images, self.recipe, self.execution)
        if weights is not None:
            description = write(task.found(job.architecture)) if task.family else ""
            save_test(weights, TestedNetwork(network, model, None, measured, description))
        tested = measured.decisive
        return {"test_top1_percent": tested.top1_percent, "test_top5_percent": tested.top5_percent, **scores}

    def _grow(
        self, task: Task, network: Ensemble, job: Job, images: Split, weights: Path | None = None
    ) -> Generator[Progress, None, tuple[EnsembleModule, dict[str, float]]]:
        """Train the members that the parent does not have; return the model, and the scores of the whole."""
        known, begun = _of_parent(task, network, job)
        whole, epochs, seconds = len(network.members), self.recipe.epochs, 0.0
        files: list[Path] = []
        for size in range(begun + 1, whole + 1):
            part = replace(network, members=network.members[:size])
            seed = mixed_seed(job.seed, "member", size)
            model = self.begin(part, known, images.shape, seed)
            file = job.checkpoint
            if file is not None and size < whole:
                file = file.with_suffix(f".{size}.pt")
                files.append(file)
            frozen = {f"members.{i}": epochs for i in range(size - 1)}
            reports = train(
                model,
                images,
                self.recipe,
                seed=seed,
                checkpoint=file,
                execution=self.execution,
                frozen=frozen,
                repeats_last=weights is None,
            )
            done, of = epochs * (size - begun - 1), epochs * (whole - begun)
            last = yield from _shifted(reported(reports, weights if size == whole else None), done, of)
            known, seconds = model.state_dict(), seconds + last.total_seconds
        for file in files:
            file.unlink(missing_ok=True)  # the members are in the checkpoint of the whole
        scores = {OBJECTIVE: self.objective(network, model, images)}
        if last.validation_top1_percent is not None:
            scores["validation_top1_percent"] = last.validation_top1_percent
        return model, {**scores, **network_costs(network, images.shape), "seconds": seconds}

    def begin(self, network: Ensemble, known: Mapping[str, Tensor], input: Shape, seed: int) -> EnsembleModule:
        """Build an ensemble with the weights of the one that it grew from; the gradient of the penalty is added in training."""
        with seeded(seed):
            model = build(network, input)
        assert isinstance(model, EnsembleModule), "built from an ensemble"
        grown = {**model.state_dict(), **known}
        if known:
            grown["mixture"] = torch.cat([known["mixture"], model.mixture.detach()[len(known["mixture"]) :]])
        model.load_state_dict(grown)
        rates = torch.tensor(self.rates(network, input))[:, None]
        mixture = model.mixture
        mixture.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: gradient + rates.to(gradient) * mixture.detach().sign()
        )
        return model

    def rates(self, network: Ensemble, input: Shape) -> list[float]:
        """Return what a mixture weight of 1 costs, for each member: complexity * sqrt(depth) + beta."""
        depths = [profile(member, input).depth for member in network.members]
        return [self.complexity * math.sqrt(depth) + self.beta for depth in depths]

    def objective(self, network: Ensemble, model: EnsembleModule, images: Split) -> float:
        """Return the loss on the training images plus the penalty on the mixture weights."""
        loss = evaluate(model, images.train, images, self.recipe).loss
        return loss + penalty(model.mixture, self.rates(network, images.shape))


def penalty(mixture: Tensor, rates: Sequence[float]) -> float:
    """Return the sum of |w| times the rate of its member, of mixture weights (members, 1) or (members, classes)."""
    sizes: list[float] = mixture.detach().abs().sum(1).tolist()
    return sum(size * rate for size, rate in zip(sizes, rates, strict=True))


def _ensemble(task: Task, architecture: Any) -> Ensemble:
    network = task.network(architecture)
    if not isinstance(network, Ensemble):
        raise RecordError(
            f"EnsembleTraining trains ensembles, and the network is a {type(network).__name__}: give a space of them, as adanet"
        )
    return network


def _of_parent(task: Task, network: Ensemble, job: Job) -> tuple[Mapping[str, Tensor], int]:
    """Return the weights of the parent and its number of members; none where it has no checkpoint or is no part of this one."""
    if job.parent is None or not job.parent.checkpoint.exists():
        return {}, 0
    members = _ensemble(task, job.parent.architecture).members
    if len(members) >= len(network.members) or members != network.members[: len(members)]:
        return {}, 0
    return read_weights(job.parent.checkpoint), len(members)


def _shifted(
    training: Generator[Progress, None, tuple[Epoch, nn.Module | None]], done: int, epochs: int
) -> Generator[Progress, None, Epoch]:
    """Report the epochs of one member among those of all; return the last one."""
    while True:
        try:
            report = next(training)
        except StopIteration as end:
            last: Epoch = end.value[0]
            return last
        yield replace(report, epoch=report.epoch + done, epochs=epochs, scores={})
