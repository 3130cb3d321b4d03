"""Ray Tune: jobs on the workers of this machine or of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from nas.record import Natural, NonNegative, Positive, RecordError, record
from nas.runtime.executor import Executor, Session, Work


@record
class RayTune(Executor):
    """Do each job as a Ray Tune trial, or `batch` cheap jobs as one; workers are reused from trial to trial.

    Without an `address` Ray is started on this machine; with one, `auto` or `host:port`, jobs go to that cluster. GPUs
    may be fractions. A job whose worker dies is tried again, elsewhere, up to `retries` times.
    """

    workers: Positive = 2
    cpus_per_worker: NonNegative = 1.0
    gpus_per_worker: NonNegative = 0.0
    batch: Positive = 1
    retries: Natural = 3
    address: str | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        if not self.cpus_per_worker and not self.gpus_per_worker:
            raise RecordError("a worker has 0 CPUs and 0 GPUs: give it some, as --gpus-per-worker 1")
        cluster = tune_module("cluster")
        with cluster.environment(self.workers), cluster.connected(self.address, self.workers, self.cpus_per_worker):
            yield

    def run(self, session: Session, work: Work, folder: Path | None) -> None:
        need = {kind: each for kind, each in (("CPU", self.cpus_per_worker), ("GPU", self.gpus_per_worker)) if each}
        limits = {"workers": self.workers, "batch": self.batch, "retries": self.retries}
        with self.opened():
            tune_module("cluster").check_room(self.workers, need)
            tune_module("trials").run(session, work, folder, need=need, **limits)


def tune_module(name: str) -> Any:
    """Import a module of nas.runtime.tune. Raises RecordError where Ray is not installed."""
    try:
        return import_module(f"nas.runtime.tune.{name}")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise RecordError("ray is not installed: pip install 'cellstack[ray]', or run with --executor inline") from None
