"""Executors: the protocol by which the jobs of a session are run, on this machine or elsewhere."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from nas.evaluation.evaluator import Job, Progress
from nas.history import Objective, Scores
from nas.runtime.stage import RunStage, Work
from nas.runtime.view import View


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a job: scores or, where the candidate itself failed, the reason and a traceback."""

    scores: Scores | None = None
    failure: str | None = None
    trace: str = ""


class Session(Protocol):
    """A source of jobs that takes their outcomes; used from one thread."""

    @property
    def objective(self) -> Objective:
        """The objective by which trainings may be stopped."""

    @property
    def finished(self) -> bool:
        """Whether nothing is in flight and no further job will be handed out."""

    def ask(self) -> Job | None:
        """Return the next job; None where there is none now, or none ever (`finished`)."""

    def progress(self, number: int, worker: str, progress: Progress) -> bool:
        """Take the progress that a job reports; returns whether the job is to be stopped, and then given to `stop`."""

    def stop(self, number: int, worker: str) -> None:
        """Take a job that was stopped: its outcome are the scores after its last epoch; called instead of `tell`."""

    def tell(self, number: int, worker: str, outcome: Outcome) -> None:
        """Take the outcome of a job; called once for each job."""

    def now(self) -> float:
        """Return the time of the clock in seconds."""

    def set_time(self, seconds: float) -> None:
        """Set the clock of a session for an executor that `simulates`."""

    def started_at(self, number: int) -> float:
        """Return the time at which a job in flight was proposed."""


class Executor(ABC):
    """A way to run the jobs of a session to their end; a record, whose fields are its settings."""

    simulates: ClassVar[bool] = False
    """Whether it sets the clock of its sessions itself."""

    def opened(self) -> AbstractContextManager[None]:
        """Keep open what all sessions of a run may share, such as the connection to a cluster."""
        return nullcontext()

    def check(self) -> None:
        """Raise RecordError where no job could run, as when a package is not installed; called before all else."""
        return

    def settled(self) -> Executor:
        """Return the executor with the settings chosen that it leaves to the machine, so that the run can keep them."""
        return self

    def unsettled(self) -> Executor:
        """Return the executor without the settings that `settled` chooses."""
        return self

    def stops_by(self) -> str:
        """Return the setting by which it stops trainings on their curves, such as `scheduler`; empty where there is none."""
        return ""

    def describe(self) -> str:
        """Return the workers in words, such as `2 workers, 1 thread each`."""
        return type(self).__name__

    def watched(self, stage: RunStage, folder: Path) -> AbstractContextManager[Sequence[View]]:
        """Keep the views open that this executor adds to a stage, such as loggers; none by default."""
        return nullcontext(())

    @abstractmethod
    def run(self, session: Session, work: Work, folder: Path | None) -> None:
        """Run every job that the session hands out. Files that the executor needs go into the run's `folder`."""


def waits_for_nothing() -> RuntimeError:
    """Return the error of a session that is not finished although no result will come that its strategy could wait for."""
    return RuntimeError("the strategy waits for results and nothing is in flight: it must propose or end")


def perform(work: Work, job: Job) -> Generator[Progress | Outcome, None, None]:
    """Run one job: yield its progress and, last, its outcome. An exception in the candidate is an outcome too."""
    try:
        scores = yield from work(job)
        yield Outcome({name: _number(name, score) for name, score in scores.items()})
    except Exception as error:  # noqa: BLE001, a candidate may fail in any way and must not take the search along
        yield Outcome(failure=_reason(error), trace=traceback.format_exc())


def _number(name: str, score: object) -> float:
    """Return a score as a plain number, which is all that the journal holds; scalars of numpy and torch are converted."""
    try:
        return score if isinstance(score, int | float) else float(score)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several elements
        raise TypeError(f"score {name!r} is {score!r}: return a number") from None


def _reason(error: Exception) -> str:
    if type(error).__name__ == "OutOfMemoryError":
        return "out of memory"
    first_line = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
