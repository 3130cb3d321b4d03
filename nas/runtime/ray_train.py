"""Ray Train: one job at a time, by several workers together."""

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
    """Run one job after another, each on all workers together: they share every batch, and average their gradients.

    The work must look for its peers, as a training or a search with a supernet does; any other work is repeated by every worker.
    With a GPU each, workers communicate by NCCL, else by Gloo. torch uses `threads` threads in each worker, by default one per
    processor. Without an `address` Ray is started on this machine. With one, `auto` or `host:port`, the workers are on that
    cluster, and its nodes must see the run folder. When a worker dies, all restart from the job's checkpoint, up to `retries`
    times.
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
