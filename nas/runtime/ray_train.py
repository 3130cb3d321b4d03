"""Ray Train: one training at a time, by several workers together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from nas.record import Natural, NonNegative, Positive, Range, RecordError, record
from nas.runtime.executor import Executor, Session, Work
from nas.runtime.ray_tune import tune_module


@record
class RayTrain(Executor):
    """Do one job after another, each by all workers together: they share every batch, and average their gradients.

    It is for work that looks for its peers, as a search with a supernet does; any other is done by every worker alike.
    With a GPU each, the workers talk by NCCL, without by Gloo. Without an `address` Ray is started on this machine; with
    one, `auto` or `host:port`, the workers are of that cluster, and its nodes must see the run folder. When a worker dies
    all begin again from the job's checkpoint, up to `retries` times.
    """

    workers: Positive = 2
    cpus_per_worker: NonNegative = 1.0
    gpus_per_worker: Annotated[int, Range(0, 1)] = 0
    retries: Natural = 3
    address: str | None = None

    def __post_init__(self) -> None:
        if self.gpus_per_worker not in (0, 1):
            raise RecordError(
                f"RayTrain.gpus_per_worker is {self.gpus_per_worker}: give 0 or 1; NCCL takes no two workers on one GPU"
            )

    @contextmanager
    def opened(self) -> Iterator[None]:
        if not self.cpus_per_worker and not self.gpus_per_worker:
            raise RecordError("a worker has 0 CPUs and 0 GPUs: give it some, as --gpus-per-worker 1")
        cluster = tune_module("cluster")
        with cluster.environment(self.workers), cluster.connected(self.address, self.workers, self.cpus_per_worker):
            yield

    def run(self, session: Session, work: Work, folder: Path | None) -> None:
        need = {kind: each for kind, each in (("CPU", self.cpus_per_worker), ("GPU", self.gpus_per_worker)) if each}
        with self.opened():
            tune_module("cluster").check_room(self.workers, need)
            tune_module("train").run(session, work, folder, need=need, workers=self.workers, retries=self.retries)
