"""Evaluator: the protocol by which an architecture gets its scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from nas.building import Node, Shape
from nas.data.identity import DataIdentity
from nas.evaluation.candidate import architecture_of
from nas.evaluation.fit import Fit
from nas.family import StackedNetwork
from nas.history import Limit, Scores
from nas.preprocessing import Preprocessing
from nas.records import RecordError


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of an evaluation: epochs done, also in part, of those that its recipe has.

    `scores` are those that the evaluation has if it is stopped here; it cannot be stopped where they are empty. `shown` are
    numbers for people, such as the loss; `warning` is a text for them.
    """

    epoch: float = 0.0
    epochs: int | None = None
    scores: Scores = field(default_factory=dict)
    shown: Mapping[str, float] = field(default_factory=dict)
    warning: str = ""

    @property
    def ends_an_epoch(self) -> bool:
        """Whether the report is that of a whole epoch."""
        return self.epoch >= 1 and float(self.epoch).is_integer()


Evaluation = Generator[Progress, None, Scores]
"""An evaluation in progress: yields its progress, returns the scores."""


@dataclass(frozen=True, slots=True)
class Task:
    """A search task: the space, the function that stacks an architecture to a network, and the shape (C, H, W) of its images.

    With a `fit` each architecture is stacked as wide as its budget allows. `family` is the name of the space's family,
    `classes` names the classes of the images, and `preprocessing` is how images become inputs: the facts that a user of
    the weights needs. `limits` bounds scores: a chain of evaluators ends where one is broken.
    """

    space: Any
    stack: Callable[..., Node]
    options: Mapping[str, Any] = field(default_factory=dict)
    input: Shape = (3, 32, 32)
    fit: Fit | None = None
    family: str = ""
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    limits: Mapping[str, Limit] = field(default_factory=dict)

    def network(self, architecture: Any) -> Node:
        """Return the network of an architecture."""
        return self.stack(architecture_of(architecture), **self.options_for(architecture))

    def options_for(self, architecture: Any) -> Mapping[str, Any]:
        """Return the options by which an architecture is stacked."""
        if self.fit is None:
            return self.options
        return self.fit.options(partial(self.stack, architecture_of(architecture)), self.options, self.input)

    def is_outside(self, scores: Scores) -> bool:
        """Return whether any of the scores breaks its limit; missing ones break none."""
        return any(limit.excess(scores[name]) for name, limit in self.limits.items() if name in scores)

    def found(self, architecture: Any, scores: Scores | None = None) -> StackedNetwork:
        """Return an architecture as files store it: with its stacking options, and the inputs and classes of its weights."""
        options = self.options_for(architecture)
        return StackedNetwork(
            self.family,
            architecture_of(architecture),
            options,
            self.input,
            scores or {},
            self.classes,
            self.preprocessing,
        )


@dataclass(frozen=True, slots=True)
class Parent:
    """The parent of an architecture, and the checkpoint of its finished training."""

    architecture: Any
    checkpoint: Path


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation: small, so that it can be sent to a worker; the network is built there.

    With `checkpoint` an interrupted evaluation resumes from that file. It ends after `epochs`, as the first part of the whole
    training; None is the whole, and 0 what needs no training. With `parent` it begins from the parent's weights.
    """

    number: int
    architecture: Any
    seed: int
    checkpoint: Path | None = None
    epochs: int | None = None
    parent: Parent | None = None


class Evaluator(ABC):
    """An evaluator of architectures; a record, whose fields are its settings.

    One that is `instant` looks up or counts, and has nothing to resume: its jobs get no checkpoint.
    """

    instant: ClassVar[bool] = False

    @property
    def inherits(self) -> bool:
        """Whether a training begins from the weights of the proposal's first parent."""
        return False

    def prepare(self, space: Any) -> dict[str, Any]:
        """Load what evaluations need, and return what it fixes of a network: its number of `classes` and `input` shape.

        It may also return descriptions of trained weights: `class_names`, and `preprocessing`, which turns images into
        inputs. Raises RecordError where the data or the table do not suffice, before any worker starts.
        """
        return {}

    def joined(self, space: Any) -> Any:
        """Return the space of what it evaluates: that of the architectures, with its own open choices if it has any."""
        return space

    def flattened(self) -> tuple[Evaluator, ...]:
        """Return the evaluators that it is made of; itself where it is one."""
        return (self,)

    def check(self, task: Task) -> None:
        """Raise RecordError where no architecture at all could be scored; called before any worker starts."""
        return

    def scores(self) -> tuple[str, ...] | None:
        """Return the names of the scores of `evaluate`; None where they are known only after it."""
        return None

    def screening_scores(self) -> tuple[str, ...]:
        """Return the names of the scores of a job of 0 epochs, which trains nothing; none by default."""
        return ()

    def test_scores(self) -> tuple[str, ...] | None:
        """Return the names of the scores of `test`; None where they are known only after it."""
        return None

    def curves(self) -> tuple[str, ...]:
        """Return the scores that `evaluate` reports after each epoch, by which it can be stopped; none by default."""
        return ()

    def full_epochs(self) -> int | None:
        """Return the epochs of a whole evaluation; None where it has no epochs, and is whole or nothing."""
        return None

    def check_epochs(self, epochs: Collection[int]) -> None:
        """Raise RecordError where an evaluation cannot end after one of these numbers of epochs."""
        whole, name = self.full_epochs(), type(self).__name__
        if 0 in epochs and not self.screening_scores():
            raise RecordError(
                f"a rung is 0 epochs, and {name} has no score of an untrained network: give a list, as [Proxies, {name}]",
                "epochs",
            )
        if epochs and whole is None:
            raise RecordError(
                f"{name} has no epochs to end after: give a strategy without rungs, or Training", "epochs"
            )
        if whole is not None and (above := [each for each in epochs if each > whole]):
            raise RecordError(
                f"a rung is {above[0]} epochs, and those of {name} have {whole}: give at most {whole}", "epochs"
            )

    def identity(self) -> DataIdentity | None:
        """Return the identity of a table, or of other data than images, that scores come from; None where there is none."""
        return None

    def costs(self, task: Task, architecture: Any) -> Scores:
        """Return the scores that are known without an evaluation, for the limits on them; none by default."""
        return {}

    @abstractmethod
    def evaluate(self, task: Task, job: Job) -> Evaluation:
        """Score an architecture on the data that a search may see: training and validation data."""

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        """Score a chosen architecture on the test data; called once, after the search.

        Trained weights are written to the file `weights`, as safetensors. Raises RecordError where it has no test.
        """
        raise RecordError(f"{type(self).__name__} has no test data: give final.evaluator, as Training")


def at_once(scores: Scores) -> Evaluation:
    """Return an evaluation that returns its scores without yielding progress."""
    yield from ()  # makes this a generator
    return scores


def with_reports(evaluation: Evaluation, change: Callable[[Progress], Progress]) -> Evaluation:
    """Run an evaluation with each of its reports changed; returns its scores."""
    while True:
        try:
            progress = next(evaluation)
        except StopIteration as end:
            scores: Scores = end.value
            return scores
        yield change(progress)
