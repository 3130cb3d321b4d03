"""Executor: the protocol by which a session gets its jobs done, here or elsewhere."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nas.evaluation.evaluator import Job, Progress
from nas.history import Scores
from nas.runtime.stage import RunStage, Work
from nas.runtime.view import View


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: with scores or, where the candidate failed by itself, with a reason and its traceback."""

    scores: Scores | None = None
    failure: str | None = None
    trace: str = ""


class Session(Protocol):
    """Hands out jobs and takes their outcomes; used from one thread."""

    @property
    def finished(self) -> bool:
        """Whether nothing is in flight and nothing will be asked for any more."""

    def ask(self) -> Job | None:
        """Return the next job; None where there is none now, or none ever (`finished`)."""

    def progress(self, number: int, worker: str, progress: Progress) -> None:
        """Take what a job reports on its way."""

    def tell(self, number: int, worker: str, outcome: Outcome) -> None:
        """Take how a job ended; once for each job."""


class Executor(ABC):
    """Runs a session's jobs to the end; a record, whose fields are its settings."""

    def opened(self) -> AbstractContextManager[None]:
        """Keep open what all sessions of a run may share, as the connection to a cluster."""
        return nullcontext()

    def check(self) -> None:
        """Raise RecordError where no job could be done, as where a package is not installed; called before all else."""
        return

    def settled(self) -> Executor:
        """Return the executor with what it leaves to the machine chosen, so that the run can keep it."""
        return self

    def unsettled(self) -> Executor:
        """Return the executor without what `settled` chooses."""
        return self

    def describe(self) -> str:
        """Write who does the work, as `2 workers, 1 thread each`."""
        return type(self).__name__

    def watched(self, stage: RunStage, folder: Path) -> AbstractContextManager[Sequence[View]]:
        """Keep the views open that this executor adds to a stage, such as loggers; none by default."""
        return nullcontext(())

    @abstractmethod
    def run(self, session: Session, work: Work, folder: Path | None) -> None:
        """Do every job that the session hands out. Files that the executor needs go into the run's `folder`."""


def perform(work: Work, job: Job) -> Iterator[Progress | Outcome]:
    """Do one job: yield its progress, and last its outcome. What goes wrong in the candidate is an outcome too."""
    try:
        scores = yield from work(job)
        yield Outcome({name: _number(name, score) for name, score in scores.items()})
    except Exception as error:  # noqa: BLE001, a candidate may fail in any way and must not take the search along
        yield Outcome(failure=_reason(error), trace=traceback.format_exc())


def _number(name: str, score: object) -> float:
    """Return a score as a plain number, also one of numpy's or torch's; the journal holds nothing else."""
    try:
        return score if isinstance(score, int | float) else float(score)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"score {name} is {score!r}, no number") from None


def _reason(error: Exception) -> str:
    if type(error).__name__ == "OutOfMemoryError":
        return "out of memory"
    first_line = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
