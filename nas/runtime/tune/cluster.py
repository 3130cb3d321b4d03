"""The Ray cluster: connecting to it, and checking that the workers fit."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray
from ray._private import worker as ray_worker

from nas.records import RecordError, one_line
from nas.runtime.stopping import handlers_kept, hang_up_ignored

SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning about a coming default
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints a table even where none is asked for
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # workers stay in the driver's folder, so that relative paths hold
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # they write five files per trial, and halve the throughput
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",  # a run resumes from its journal
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}

START_ONE = "start one with `ray start --head`, and set RAY_AUTH_MODE=token if it was started with a token"


@contextmanager
def environment(workers: int) -> Iterator[None]:
    """Set the environment variables that Tune reads, and restore them afterwards."""
    owned = not ray.is_initialized()
    settings = SETTINGS | {
        "TUNE_MAX_PENDING_TRIALS_PG": str(workers),  # for a custom searcher Tune would start workers one by one
        # a cluster that ends with this process needs no slow shutdown
        "TUNE_DISABLE_SIGINT_HANDLER": os.environ.get("TUNE_DISABLE_SIGINT_HANDLER", str(int(owned))),
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def connected(address: str | None, workers: int, cpus_per_worker: float) -> Iterator[None]:
    """Connect to a cluster or start one; a connection that this process has already is used and left open.

    On this machine there may be more workers than processors, which is slower, but works. Raises RecordError where no cluster
    answers at the address.
    """
    if ray.is_initialized():
        yield
        return
    with handlers_kept():
        if address:
            _join(address)
        else:
            _start(max(os.cpu_count() or 1, math.ceil(workers * cpus_per_worker)))
    ray_worker._worker_logs_enabled = False  # else a worker's death prints a page, despite log_to_driver
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    _knock(address)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError) as error:
        reason = one_line(error)
        raise RecordError(f"no Ray cluster at {address} ({reason}): {START_ONE}") from None
    except RuntimeError as error:
        ray.shutdown()  # it is half connected
        raise RecordError(
            f"the Ray cluster at {address} cannot be joined ({one_line(error)}): use the same versions of Python and Ray as it"
        ) from None


def _start(cpus: int) -> None:
    """Start a cluster on this machine."""
    with hang_up_ignored():
        ray.init("local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)


def _knock(address: str) -> None:
    """Fail at once where no host answers; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "://" in address:
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise RecordError(f"no Ray cluster answers at {address} ({error}): {START_ONE}") from None


def check_room(workers: int, need: Mapping[str, float]) -> None:
    """Raise RecordError where the cluster cannot hold all `workers` at once; a worker fits into one node."""
    # per node, since a worker cannot take its processors from two
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    room = sum(min((int(node.get(kind, 0) / each) for kind, each in need.items()), default=workers) for node in nodes)
    if room < workers:
        total = ", ".join(f"{sum(node.get(kind, 0) for node in nodes):g} {kind}s" for kind in need)
        each = " and ".join(f"{number:g} {kind}" for kind, number in need.items())
        raise RecordError(
            f"{workers} workers with {each} each do not fit: there is room for {room} ({total} in total); "
            + (f"give --workers {room}, or fewer --gpus-per-worker" if room else "give fewer --gpus-per-worker")
        )
