"""Ray workers: the resources of each, and the cluster that provides them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from nas.records import RecordError
from nas.runtime.stopping import handlers_kept
from nas.runtime.threads import threads_of_worker

NO_CPP_HANDLER = "RAY_DISABLE_FAILURE_SIGNAL_HANDLER"
"""Read by Ray when it is imported. Without it Ray prints a C++ stack on SIGTERM, and leaves the signal without a handler."""

NO_RAY = "ray is not installed: pip install 'cellstack[ray]', or run with --executor inline"


@dataclass(frozen=True, slots=True)
class RayWorkers:
    """A number of workers with processors and GPUs each, on this machine or on the cluster at an address."""

    number: int
    cpus: float
    gpus: float
    address: str | None

    @property
    def need(self) -> dict[str, float]:
        """The resources of one worker, by Ray's names."""
        return {kind: each for kind, each in (("CPU", self.cpus), ("GPU", self.gpus)) if each}

    @property
    def threads(self) -> int:
        """The number of torch threads in each worker, unless the user sets another."""
        return threads_of_worker(self.cpus, self.number, is_here=self.address is None)

    def check(self) -> None:
        """Raise RecordError where a worker has no resources, or Ray is not installed."""
        if not self.need:
            raise RecordError("a worker has 0 CPUs and 0 GPUs: give it some, as --gpus-per-worker 1")
        if find_spec("ray") is None:
            raise RecordError(NO_RAY)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Connect to the cluster, or start one. Raises RecordError as `check` does, and where no cluster answers."""
        self.check()
        cluster = tune_module("cluster")
        with cluster.environment(self.number), cluster.connected(self.address, self.number, self.cpus):
            yield

    def check_room(self) -> None:
        """Raise RecordError where the cluster cannot hold all workers at once."""
        tune_module("cluster").check_room(self.number, self.need)


def tune_module(name: str) -> Any:
    """Import a module of nas.runtime.tune. Raises RecordError where Ray is not installed."""
    os.environ.setdefault(NO_CPP_HANDLER, "1")
    try:
        with handlers_kept():
            return import_module(f"nas.runtime.tune.{name}")
    except ModuleNotFoundError as error:
        if error.name != "ray":  # another package is missing: its own error says which
            raise
        raise RecordError(NO_RAY) from None
