"""Logging: a search as its loggers see it.

The search is one logged run: after each evaluation its scores and the best so far. A candidate that reports epochs is a
separate run, with its decisions, a point per epoch and finally its scores. A candidate without epochs is no run: a search on a
table would open thousands.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final
from uuid import uuid4

from nas.evaluation.evaluator import Progress
from nas.history import Evaluated, History, Proposal
from nas.runtime.loggers.labels import DecisionLabels
from nas.runtime.loggers.logger import Logger
from nas.runtime.stage import RunStage
from nas.runtime.view import View

About = Mapping[str, object]
"""Attributes of a logged run that are not scores."""


@final
@dataclass(eq=False, slots=True)
class LoggedRun:
    """One logged run, with the attributes that Tune's loggers read from a trial. `evaluated_params` are its decisions."""

    name: str
    files: Path
    experiment_dir_name: str
    evaluated_params: Mapping[str, str]
    about: About
    trial_id: str = field(default_factory=lambda: uuid4().hex[:12])
    checkpoint: None = None

    def __str__(self) -> str:
        return self.name

    @property
    def config(self) -> dict[str, Any]:
        """The attributes that a tracker lists next to the scores."""
        return {**self.about, **self.evaluated_params}

    @property
    def local_path(self) -> str:
        """The folder of its files."""
        return str(self.files)

    def init_local_path(self) -> None:
        """Make the folder of its files, if it does not exist."""
        self.files.mkdir(parents=True, exist_ok=True)


@final
class LoggerThread:
    """A logger in its own thread, so that a slow tracker does not delay the search.

    A logger that fails is left out from then on, with a warning: the search continues, and the journal has everything.
    """

    def __init__(self, logger: Logger, folder: Path) -> None:
        self.logger, self.folder = logger, folder
        self._callback = logger.opened(folder)
        self._runs: dict[str, LoggedRun] = {}
        self._failed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=type(logger).__name__)

    def begin(self, name: str, decided: Mapping[str, str], about: About) -> None:
        """Begin a run."""
        run = LoggedRun(name, self.logger.files_of(self.folder, name), self.folder.name, decided, about)
        self._runs[name] = run
        self._do(run.init_local_path)  # as Tune does before it calls its loggers
        self._do(self._callback.log_trial_start, run)

    def log(self, name: str, step: int, scores: Mapping[str, float]) -> None:
        """Log the scores of a run at a step, counted from 1."""
        self._do(self._callback.log_trial_result, step, self._runs[name], {"training_iteration": step, **scores})

    def end(self, name: str, failed: bool = False) -> None:
        """End a run."""
        self._do(self._callback.log_trial_end, self._runs.pop(name), failed)

    def close(self) -> None:
        """End all runs, and wait until everything is written."""
        for name in list(self._runs):
            self.end(name)
        self._do(self._callback.on_experiment_end, [])
        self._thread.shutdown()

    def _do(self, call: Callable[..., object], *arguments: object) -> None:
        self._thread.submit(self._guarded, call, *arguments)

    def _guarded(self, call: Callable[..., object], *arguments: object) -> None:
        if self._failed:
            return
        try:
            call(*arguments)
        except Exception as error:  # noqa: BLE001, each tracker has errors of its own
            self._failed = True
            warnings.warn(f"logger {type(self.logger).__name__} is left out from now on: {error}", stacklevel=1)


@final
class LoggingView(View):
    """A view of a stage that writes to loggers."""

    def __init__(self, stage: RunStage, threads: Sequence[LoggerThread]) -> None:
        self.threads, self.stage = threads, stage
        self.labels = DecisionLabels(stage.space)
        self.proposals: dict[int, Proposal] = {}
        self.epochs: dict[int, int] = {}
        self.is_open = False

    def started(self, number: int, proposal: Proposal) -> None:
        self.proposals[number] = proposal

    def progress(self, number: int, worker: str, progress: Progress) -> None:
        # only whole epochs are logged, not the progress within one
        if not progress.ends_an_epoch:
            return
        name = self._name(number)
        if number not in self.epochs:
            self._begin(number, name)
        self.epochs[number] = int(progress.epoch)
        for thread in self.threads:
            thread.log(name, int(progress.epoch), progress.shown)

    def finished(self, done: Evaluated, history: History) -> None:
        if done.number in self.epochs:
            for thread in self.threads:
                if done.scores:
                    thread.log(self._name(done.number), self.epochs[done.number], done.scores)
                thread.end(self._name(done.number), done.failure is not None)
            del self.epochs[done.number]
        self.proposals.pop(done.number, None)
        self._log_search(done, history)

    def _log_search(self, done: Evaluated, history: History) -> None:
        rules, scores = self.stage.rules, {**done.scores, "failed": len(history.failures)}
        if history.best is not None:
            scores[f"best_{history.objective}"] = history.best.scores[history.objective]
        for thread in self.threads:
            if not self.is_open:
                about = {"strategy": type(self.stage.source).__name__, "objective": rules.objective, "seed": rules.seed}
                thread.begin(self.stage.name, {}, about)
            thread.log(self.stage.name, len(history.finished), scores)
        self.is_open = True

    def _begin(self, number: int, name: str) -> None:
        proposal = self.proposals[number]
        parents = " ".join(f"#{parent}" for parent in proposal.parents)
        about = {"number": number, "origin": proposal.origin, "parents": parents}
        for thread in self.threads:
            thread.begin(name, self.labels.of(proposal.architecture), about)

    def _name(self, number: int) -> str:
        """Return a candidate's name: by its number in the search, by its origin in any other stage."""
        is_search = self.stage.name == "search"
        return f"{self.stage.name}/{f'{number:05}' if is_search else self.proposals[number].origin}"


@contextmanager
def logged(stage: RunStage, loggers: Sequence[Logger], folder: Path) -> Iterator[Sequence[View]]:
    """Keep the loggers of a stage open, and yield their view, if there are any. Raises RecordError where one cannot start."""
    with ExitStack() as stack:
        threads = []
        for logger in loggers:
            threads.append(LoggerThread(logger, folder))
            stack.callback(threads[-1].close)
        yield [LoggingView(stage, threads)] if threads else []
