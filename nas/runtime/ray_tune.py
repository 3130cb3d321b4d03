"""Ray Tune: jobs on the workers of this machine or of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.records import Natural, NonNegative, Positive, RecordError, record
from nas.runtime.executor import Executor, Session
from nas.runtime.loggers import Logger
from nas.runtime.loggers.logged import logged
from nas.runtime.ray_workers import RayWorkers, tune_module
from nas.runtime.stage import RunStage, Work
from nas.runtime.threads import counted
from nas.runtime.view import View


@record
class RayTune(Executor):
    """Run each job as a Ray Tune trial, or `batch` cheap jobs as one; workers are reused from trial to trial.

    Without an `address` Ray is started on this machine; with one, `auto` or `host:port`, jobs go to that cluster. GPUs may be
    fractions. torch uses `threads` threads in each worker, by default one per processor. A job whose worker dies is retried on
    another one, up to `retries` times. `loggers` are trackers that record the search too, such as TensorBoard; the journal is
    written in any case. `scheduler` is one of Ray Tune that stops trainings by their curves of the first objective, as
    ASHAScheduler or {ASHAScheduler: {max_t: 27}}, with times in epochs; unlike `rules.pruner` it begins anew in a resumed run.
    """

    workers: Positive = 2
    cpus_per_worker: NonNegative = 1.0
    gpus_per_worker: NonNegative = 0.0
    batch: Positive = 1
    retries: Natural = 3
    threads: Positive | None = None
    address: str | None = None
    loggers: tuple[Logger, ...] = ()
    scheduler: str | Mapping[str, Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        if self.scheduler is not None and self.batch > 1:
            raise RecordError(f"RayTune.batch is {self.batch}, and a scheduler stops single trainings: give batch 1")

    def stops_by(self) -> str:
        return "" if self.scheduler is None else "scheduler"

    def settled(self) -> Executor:
        return self if self.threads is not None else replace(self, threads=self._workers().threads)

    def unsettled(self) -> Executor:
        return replace(self, threads=None)

    def describe(self) -> str:
        return counted(self.workers, self.threads)

    def check(self) -> None:
        for logger in self.loggers:
            logger.check()
        self._workers().check()
        if self.scheduler is not None:
            tune_module("schedulers").made_by_tune(self.scheduler)

    def opened(self) -> AbstractContextManager[None]:
        self.check()
        return self._workers().opened()

    def watched(self, stage: RunStage, folder: Path) -> AbstractContextManager[Sequence[View]]:
        return logged(stage, self.loggers, folder)

    def run(self, session: Session, work: Work, folder: Path | None) -> None:
        workers = self._workers()
        limits = {"workers": self.workers, "batch": self.batch, "retries": self.retries, "threads": self.threads}
        with workers.opened():
            workers.check_room()
            scheduler = None if self.scheduler is None else tune_module("schedulers").made_by_tune(self.scheduler)
            tune_module("trials").run_trials(session, work, folder, need=workers.need, scheduler=scheduler, **limits)

    def _workers(self) -> RayWorkers:
        return RayWorkers(self.workers, self.cpus_per_worker, self.gpus_per_worker, self.address)
