"""Ray Train: one training at a time, by several workers together."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from nas.records import Natural, NonNegative, Positive, Range, RecordError, record
from nas.runtime.executor import Executor, Session
from nas.runtime.ray_workers import RayWorkers, tune_module
from nas.runtime.stage import Work
from nas.runtime.threads import counted


@record
class RayTrain(Executor):
    """Do one job after another, each by all workers together: they share every batch, and average their gradients.

    It is for work that looks for its peers, as a search with a supernet does; any other is done by every worker alike.
    With a GPU each, the workers talk by NCCL, without by Gloo. torch takes so many `threads` in each worker, by default one
    for each of its processors. Without an `address` Ray is started on this machine; with one, `auto` or `host:port`, the
    workers are of that cluster, and its nodes must see the run folder. When a worker dies all begin again from the job's
    checkpoint, up to `retries` times.
    """

    workers: Positive = 2
    cpus_per_worker: NonNegative = 1.0
    gpus_per_worker: Annotated[int, Range(0, 1)] = 0
    retries: Natural = 3
    threads: Positive | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.gpus_per_worker not in (0, 1):
            raise RecordError(
                f"RayTrain.gpus_per_worker is {self.gpus_per_worker}: give 0 or 1; NCCL takes no two workers on one GPU"
            )

    def check(self) -> None:
        self._workers().check()

    def settled(self) -> Executor:
        return self if self.threads is not None else replace(self, threads=self._workers().threads)

    def unsettled(self) -> Executor:
        return replace(self, threads=None)

    def describe(self) -> str:
        return counted(self.workers, self.threads)

    def opened(self) -> AbstractContextManager[None]:
        return self._workers().opened()

    def run(self, session: Session, work: Work, folder: Path | None) -> None:
        workers = self._workers()
        with workers.opened():
            workers.check_room()
            limits = {"workers": self.workers, "retries": self.retries, "threads": self.threads}
            tune_module("train").run_together(session, work, folder, need=workers.need, **limits)

    def _workers(self) -> RayWorkers:
        return RayWorkers(self.workers, self.cpus_per_worker, self.gpus_per_worker, self.address)
