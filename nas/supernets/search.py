"""The search with a supernet: phase by phase and epoch by epoch, with checkpoints, to a derived architecture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import Field, field, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any, ClassVar, final

import torch

from nas.choice import Choice
from nas.evaluation.evaluator import Evaluation, Job, Progress, Task
from nas.evaluation.training import teacher_of
from nas.files import write_atomically
from nas.places import without_places
from nas.plain import from_plain, write
from nas.records import Natural, RecordError, digest, record, to_plain, written
from nas.supernets.derivation import prune
from nas.supernets.elastic_method import ElasticNet, supernet_of
from nas.supernets.execution import apply_execution
from nas.supernets.gates import StepContext
from nas.supernets.monitor import WINDOW, count_skips, entropy, largest_eigenvalue
from nas.supernets.perturbation import derive_by_perturbation
from nas.supernets.recipe import SupernetSearch
from nas.supernets.supernet import Supernet, transplant
from nas.supernets.supernet_trainer import TEACHER, EpochMeans, SupernetTrainer
from nas.training import best_device, evaluate, mixed_seed, save_weights, seeded, stream, to_device
from nas.training.checkpoint import load_together, save_checkpoint
from nas.training.flat_recipe import former_form
from nas.training.peers import peers

DERIVED_SCORES = (
    "validation_top1_percent",
    "skips",
    "skippable",
    "supernet_top1_percent",
    "entropy",
    "epochs",
    "seconds",
)
"""The scores of an architecture derived from a supernet."""


@record
class SupernetEpoch:
    """The report of one epoch of a search, counted from 1.

    Losses are means, accuracies in percent on augmented images. `strengths` has the current strength of each option of
    each choice, `entropy` their normalised entropy, from 1 to 0. Of the `skippable` operations of the architecture that
    would be derived now, `skips` are skips. `expected_cost` is there if the search has a `cost`.
    """

    epoch: int
    epochs: int
    phase: int
    loss: float
    top1_percent: float
    alphas_loss: float | None
    alphas_top1_percent: float | None
    seconds: float
    entropy: float = 0.0
    skips: int = 0
    skippable: int = 0
    eigenvalue: float | None = None
    warning: str = ""
    strengths: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    expected_cost: float | None = None


@record
class SupernetResult:
    """The result of a supernet with one seed: the derived architecture, its epochs, and its scores at the end.

    The architecture is None until the search has ended. `number` is that of the seed in its run. `options` names, for
    each phase, the options of each choice in the order of the strengths.
    """

    formerly: ClassVar = ("Searched",)

    seed: int
    architecture: Any
    options: tuple[Mapping[str, tuple[str, ...]], ...]
    epochs: tuple[SupernetEpoch, ...]
    scores: Mapping[str, float]
    number: Natural = 0


def search_supernet(declared: SupernetSearch, folder: Path, derives: bool, task: Task, job: Job) -> Evaluation:
    """Search with one supernet: yields its progress after each epoch, returns the scores.

    If `derives` is false, because a strategy will search the supernet, no architecture is derived, and the scores are
    those of the search alone. The result so far is in `<folder>/<job.number>.json`; the supernet's final weights are in
    the `.safetensors` next to it. With a checkpoint an interrupted search resumes; on a CPU the result is the same, bit
    for bit.
    """
    run = _Run(declared, task, job)
    run.restore()
    while not run.is_over():
        yield _progress(run.epoch())
        run.write(folder, {})
    scores = run.finish() if derives else run.scores()
    if run.peers.rank == 0:
        save_weights(run.supernet.model, folder / f"{job.number}.safetensors")
    run.write(folder, scores)
    return scores


def check_supernet(declared: SupernetSearch, task: Task) -> None:
    """Build the supernets of all phases, for the whole space, on the meta device.

    Raises RecordError where one cannot be built, or the recipe's teacher cannot teach.
    """
    teacher_of(declared.weights.distillation, declared.split(), TEACHER)
    phases = declared.method.phases(declared.epochs, declared.alphas.from_epoch)
    for phase in phases:
        if unknown := phase.network.keys() - task.options.keys():
            raise RecordError(
                f"{type(phase.method).__name__}.{min(unknown)} is no option of the space's network: give [], or another space"
            )
        network = task.stack(task.space, **{**task.options, **phase.network})
        if declared.cost is not None:
            declared.cost.of(network, phase.method, task.input, label)
        with torch.device("meta"):
            stack = partial(task.stack, **{**task.options, **phase.network})
            supernet = supernet_of(task.space, stack, phase.method, task.input)
            if len(getattr(supernet.model, "auxiliary", ())):
                raise RecordError("supernet.network.auxiliary is true, and a supernet trains without: set it to false")
            apply_execution(supernet, declared, phases)


@final
class _Run:
    """A search in progress: its phase, the remaining space, the supernet, and the epochs so far."""

    def __init__(self, declared: SupernetSearch, task: Task, job: Job) -> None:
        self.declared, self.task, self.job = declared, task, job
        self.device, self.peers, self.split = best_device(), peers(), declared.split()
        self.phases = declared.method.phases(declared.epochs, declared.alphas.from_epoch)
        bare, of_task = replace(declared, network={}), (task.options, task.space)
        self.name = digest((without_places(bare), job.seed, self.split.name, *of_task))
        self.former_name = digest((_former(bare), job.seed, self.split.former_name, *of_task))
        self.epochs: list[SupernetEpoch] = []
        self.eigenvalues: list[float] = []
        self.saved = perf_counter()
        self.stopped, self.tuned = False, 0
        self.found: Any = None
        self.options: list[Mapping[str, tuple[str, ...]]] = []
        self.begin(0, task.space)

    def begin(self, index: int, space: Any) -> None:
        """Build the supernet of a phase."""
        self.index, self.space, self.done = index, space, 0
        self.phase = self.phases[index]
        network = self.task.stack(space, **{**self.task.options, **self.phase.network})
        cost = self.declared.cost
        self.expectation = cost.of(network, self.phase.method, self.split.shape, label) if cost else None
        with seeded(mixed_seed(self.job.seed, "weights", index)):
            stack = partial(self.task.stack, **{**self.task.options, **self.phase.network})
            supernet = supernet_of(space, stack, self.phase.method, self.split.shape)
        apply_execution(supernet, self.declared, self.phases)
        self.supernet = supernet
        self.supernet.policy.to(self.device)
        to_device(self.supernet.model, self.declared.weights, self.device)
        names = {name: (*each.options, *each.supernet_only) for name, each in supernet.choices.items()}
        # appends the entry of this phase, or replaces it when a run resumes
        self.options[index:] = [{name: tuple(map(label, each)) for name, each in names.items()}]
        self.turns = SupernetTrainer(
            supernet,
            self.declared,
            self.phase,
            self.split,
            self.job.seed,
            self.peers,
            self._cosine(),
            self.expectation,
        )

    def _cosine(self) -> tuple[int, int]:
        """Return how many epochs of the learning rate's cosine are over when the phase begins, and how many it has in total."""
        # a cosine spans consecutive phases that keep weights
        begins = [i for i, phase in enumerate(self.phases) if i == 0 or not phase.keep_weights]
        first = max(i for i in begins if i <= self.index)
        last = min((i for i in begins if i > self.index), default=len(self.phases))
        epochs = [phase.epochs for phase in self.phases]
        return sum(epochs[first : self.index]), sum(epochs[first:last])

    def is_over(self) -> bool:
        """Whether all phases are done, or the monitor has stopped the search."""
        return self.stopped or (self.index == len(self.phases) - 1 and self.done == self.phase.epochs)

    def epoch(self) -> SupernetEpoch:
        """Train one epoch, entering the next phase where the current one is over, and save a checkpoint if due."""
        if self.done == self.phase.epochs:
            self._advance()
        started = perf_counter()
        measured = self.turns.epoch(self.done, len(self.epochs))
        self.done += 1
        report = self._report(measured, started)
        self.epochs.append(report)
        if report.eigenvalue is not None:
            self.eigenvalues.append(report.eigenvalue)
            self.stopped = self.declared.monitor.stops(self.eigenvalues)
        self._save()
        return report

    def _advance(self) -> None:
        """Begin the next phase on the pruned space; with `keep_weights`, the weights and alphas that fit are kept."""
        before, following = self.supernet, self.phases[self.index + 1]
        strengths = self.supernet.policy.strengths()
        space = self.space if following.options is None else prune(self.space, strengths, following.options)
        self.eigenvalues.clear()
        self.begin(self.index + 1, space)
        if following.keep_weights:
            transplant(before.model, self.supernet.model)
            self.supernet.policy.take_over(before.policy)

    def _report(self, measured: EpochMeans, started: float) -> SupernetEpoch:
        monitor, number = self.declared.monitor, len(self.epochs) + 1
        eigenvalue = self._eigenvalue(number) if monitor.measures(number) else None
        strengths = self.supernet.policy.strengths()
        skips, skippable = 0, 0
        if strengths:
            skips, skippable = count_skips(self.space, self.phase.method.derive_from(self.space, strengths))
        return SupernetEpoch(
            epoch=number,
            epochs=sum(phase.epochs for phase in self.phases),
            phase=self.index,
            loss=measured.loss,
            top1_percent=measured.top1_percent,
            alphas_loss=measured.alphas_loss,
            alphas_top1_percent=measured.alphas_top1_percent,
            seconds=perf_counter() - started,
            entropy=entropy(strengths),
            skips=skips,
            skippable=skippable,
            eigenvalue=eigenvalue,
            warning=monitor.warning([*((each.skips, each.skippable) for each in self.epochs), (skips, skippable)]),
            strengths={name: tuple(each) for name, each in strengths.items()},
            expected_cost=self._expected_cost(),
        )

    @torch.no_grad()
    def _expected_cost(self) -> float | None:
        return None if self.expectation is None else float(self.expectation(self.supernet.policy.probabilities()))

    def _eigenvalue(self, number: int) -> float:
        batch = self.turns.fixed_batch(number)
        generator = stream(self.job.seed, "hessian", number)
        # a separate seed: measuring the Hessian leaves the random streams of the training unchanged
        with seeded(mixed_seed(self.job.seed, "hessian layers", number, self.peers.rank), self.device):
            return largest_eigenvalue(
                lambda: self.turns.outcome(batch).loss, self.turns.alphas, generator, self.peers.all_reduce_mean
            )

    def scores(self) -> dict[str, float]:
        """Return the scores of the search itself."""
        last = self.epochs[-1]
        return {
            "supernet_top1_percent": last.top1_percent
            if last.alphas_top1_percent is None
            else last.alphas_top1_percent,
            "entropy": last.entropy,
            "epochs": len(self.epochs),
            "seconds": sum(epoch.seconds for epoch in self.epochs),
        }

    def finish(self) -> dict[str, float]:
        """Derive the architecture, and return its scores and those of the search."""
        self.found = self._derive()
        skips, skippable = count_skips(self.space, self.found)
        of_found = {"validation_top1_percent": self._score(self.found), "skips": skips, "skippable": skippable}
        return {**of_found, **self.scores()}

    def _derive(self) -> Any:
        """Return the architecture: of an earlier epoch after an early stop, by perturbation, or by the method."""
        method, rng = self.phase.method, Random(mixed_seed(self.job.seed, "derivation"))
        if self.stopped:
            # RobustDARTS: the strengths of WINDOW epochs ago, before the eigenvalue grew
            return method.derive_from(self.space, self.epochs[-1 - WINDOW].strengths)
        if self.declared.derivation == "perturbation":
            assert isinstance(self.supernet, Supernet), "checked when the search was declared"
            self.supernet.moment = StepContext(1.0, stream(self.job.seed, "derivation gates"))
            return derive_by_perturbation(self.space, self.supernet, self._top1_percent, self._tune, rng)
        return method.derive(self.space, self.supernet.policy, self._score, rng)

    def _score(self, architecture: Any) -> float:
        """Return the accuracy of an architecture's path in the supernet on the alphas' images, in percent."""
        self.supernet.take(self.space, architecture)
        top1_percent = self._top1_percent()
        self.supernet.use(None)
        return top1_percent

    def _top1_percent(self) -> float:
        measured = evaluate(self.supernet, self.split.validation, self.split, self.declared.weights, self.device)
        return self.peers.mean(measured.top1_percent, self.device)

    def _tune(self) -> None:
        for _ in range(self.declared.tune_epochs):
            self.turns.epoch(self.phase.epochs - 1, len(self.epochs) + self.tuned, frozen=True)
            self.tuned += 1

    def write(self, folder: Path, scores: Mapping[str, float]) -> None:
        """Write the result so far and its epochs; before the end, without an architecture."""
        searched = SupernetResult(
            self.job.seed, self.found, tuple(self.options), tuple(self.epochs), scores, self.job.number
        )
        if self.peers.rank == 0:
            path = folder / f"{self.job.number}.json"
            write_atomically(path, lambda beside: beside.write_text(write(searched), encoding="utf-8"))

    def _save(self) -> None:
        # only rank 0 writes; within `checkpoint_seconds` of the last checkpoint, only the end of the search is saved
        path, now = self.job.checkpoint, perf_counter()
        if (
            path is None
            or self.peers.rank
            or (now - self.saved < self.declared.checkpoint_seconds and not self.is_over())
        ):
            return
        report = {
            "epochs": to_plain(tuple(self.epochs)),
            "options": to_plain(self.options),
            "space": to_plain(self.space),
            "stopped": self.stopped,
        }
        state = {"phase": self.index, "done": self.done, "eigenvalues": self.eigenvalues, "report": json.dumps(report)}
        nets = {"model": self.supernet.model.state_dict(), "policy": self.supernet.policy.state_dict()}
        if isinstance(self.supernet, ElasticNet) and self.supernet.teacher is not None:
            nets["teacher"] = self.supernet.teacher.state_dict()
        save_checkpoint(path, self.name, {**state, **nets, **self.turns.state()})
        self.saved = now

    def restore(self) -> None:
        """Resume from the checkpoint, if there is one."""
        state = load_together(self.job.checkpoint, (self.name, self.former_name), self.peers, self.device)
        if state is None:
            return
        report = json.loads(state["report"])
        self.options = list(from_plain(report["options"], tuple[Mapping[str, tuple[str, ...]], ...]))
        self.begin(state["phase"], from_plain(report["space"]))
        self.done, self.stopped, self.eigenvalues = state["done"], report["stopped"], state["eigenvalues"]
        self.epochs = list(from_plain(report["epochs"], tuple[SupernetEpoch, ...]))
        self.supernet.model.load_state_dict(state["model"])
        self.supernet.policy.load_state_dict(state["policy"])
        if "teacher" in state and isinstance(self.supernet, ElasticNet):
            self.supernet.keep_teacher().load_state_dict(state["teacher"])
        self.turns.restore(state)


def label(option: Any) -> str:
    """Return a short name of an option, such as `SepConv 3` or `Conv 3 bottleneck=4`; names of different options differ."""
    if not is_dataclass(option):
        return str(option)
    values = {each.name: getattr(option, each.name) for each in fields(option)}
    sizes = [str(values[name]) for name in ("kernel", "source") if name in values]
    others = [
        f"{each.name}={_short(values[each.name])}" for each in fields(option) if _is_said(each, values[each.name])
    ]
    return " ".join([type(option).__name__, *sizes, *others])


def _is_said(field: Field[Any], value: Any) -> bool:
    return field.name not in ("kernel", "source") and value != field.default and type(value) is not Choice


def _short(value: Any) -> str:
    return label(value) if is_dataclass(value) else digest(value)[:4] if isinstance(value, tuple) else str(value)


def _progress(epoch: SupernetEpoch) -> Progress:
    """Return the report of an epoch as it is shown while the search runs."""
    shown: dict[str, float] = {"loss": epoch.loss, "top1_percent": epoch.top1_percent}
    if epoch.alphas_top1_percent is not None:
        shown["alphas_top1_percent"] = epoch.alphas_top1_percent
    if epoch.expected_cost is not None:
        shown["expected_cost"] = epoch.expected_cost
    if epoch.strengths:
        shown |= {"entropy": epoch.entropy, "skips": epoch.skips, "skippable": epoch.skippable}
    return Progress(epoch.epoch, epoch.epochs, shown=shown, warning=epoch.warning)


def _former(declared: SupernetSearch) -> Mapping[str, Any]:
    """Return the plain form of a search in version 0.1, by whose digest its checkpoints are named."""
    fields = dict(written(declared))
    if "weights" in fields:
        fields["weights"] = former_form(declared.weights)
    return {type(declared).__name__: fields}
