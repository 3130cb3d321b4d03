"""Evaluator: the protocol by which an architecture gets its scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from nas.building import Node, Shape
from nas.data.identity import DataIdentity
from nas.evaluation.fit import Fit
from nas.family import StackedNetwork
from nas.history import Scores
from nas.preprocessing import Preprocessing

Progress = Mapping[str, float | str]
"""What an evaluation reports on its way: `epoch`, `epochs`, scores so far, and a `warning` in words where there is one."""

Evaluation = Generator[Progress, None, Scores]
"""An evaluation under way: yields its progress, returns the scores."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is searched: the space, how a member of it is stacked to a network, and the shape (C, H, W) of its images.

    With a `fit` each member is stacked as wide as its budget allows. `family` is the name of the space's family, `classes`
    names the classes of the images, and `preprocessing` says how they become inputs: what a user of the weights has to know.
    """

    space: Any
    stack: Callable[..., Node]
    options: Mapping[str, Any] = field(default_factory=dict)
    input: Shape = (3, 32, 32)
    fit: Fit | None = None
    family: str = ""
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None

    def network(self, architecture: Any) -> Node:
        """Return the network that an architecture becomes."""
        return self.stack(architecture, **self.options_for(architecture))

    def options_for(self, architecture: Any) -> Mapping[str, Any]:
        """Return the options by which an architecture is stacked."""
        if self.fit is None:
            return self.options
        return self.fit.options(partial(self.stack, architecture), self.options, self.input)

    def found(self, architecture: Any, scores: Scores | None = None) -> StackedNetwork:
        """Return an architecture as files hold it: how it is stacked, and what its weights take and give."""
        options = self.options_for(architecture)
        return StackedNetwork(
            self.family, architecture, options, self.input, scores or {}, self.classes, self.preprocessing
        )


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation to do: small, so that it is sent to a worker; the network is built there.

    With `checkpoint` an evaluation that was cut off goes on from that file.
    """

    number: int
    architecture: Any
    seed: int
    checkpoint: Path | None = None


class Evaluator(ABC):
    """Scores architectures; a record, whose fields are its settings."""

    def prepare(self, space: Any) -> dict[str, Any]:
        """Load what evaluations need, and return what they fix of a network: its number of `classes` and `input` shape.

        What describes trained weights may be among it: `class_names`, and `preprocessing`, how images become inputs. Raises
        RecordError where the data or the table do not suffice, before any worker starts.
        """
        return {}

    def check(self, task: Task) -> None:
        """Raise RecordError where no architecture could be scored at all; called before any worker starts."""
        return

    def scores(self) -> tuple[str, ...] | None:
        """Return the names of the scores of `evaluate`; None where they are known only when it has been done."""
        return None

    def test_scores(self) -> tuple[str, ...] | None:
        """Return the names of the scores of `test`; None where they are known only when it has been done."""
        return None

    def identity(self) -> DataIdentity | None:
        """Return what identifies a table, or other data than images, that the scores are from; None where there is none."""
        return None

    @abstractmethod
    def evaluate(self, task: Task, job: Job) -> Evaluation:
        """Score an architecture by what a search may see: training and validation data."""

    @abstractmethod
    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        """Score a chosen architecture on the test data; called once, when the search is over.

        What is trained for it is left in the file `weights`, as safetensors.
        """


def at_once(scores: Scores) -> Evaluation:
    """Return an evaluation that has its scores without any progress to report."""
    yield from ()
    return scores
