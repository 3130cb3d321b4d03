"""The costs of a run: seconds, worker hours, evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.history import REUSED
from nas.report.summary.clock import Clock
from nas.report.summary.journal import Log, Work
from nas.report.summary.summary import MachineHours
from nas.runtime.executor import Executor
from nas.runtime.ray_train import RayTrain

HOUR = 3600.0


def costs_of(
    logs: Mapping[str, Log], works: Sequence[Work], clock: Clock, executor: Executor, simulated: bool
) -> MachineHours:
    """Return the time that all phases of a run took together, and the counts of its main phase."""
    history = next((logs[phase].history for phase in ("search", "training", "trials") if phase in logs), None)
    done = list(history.finished.values()) if history else []
    seconds = [each.scores["seconds"] for each in done if each.worker != REUSED and "seconds" in each.scores]
    hours = sum(work.end - work.begin for work in works) / HOUR
    held = _held(executor)
    reused = history.reused if history else 0
    return MachineHours(
        seconds=clock.worked(clock.last),
        evaluation_seconds=sum(seconds) if seconds else None,
        seconds_per_evaluation=sum(seconds) / len(seconds) if seconds else None,
        simulated=simulated,
        worker_hours=hours,
        cpu_hours=held["cpus"] * hours if "cpus" in held else None,
        gpu_hours=held["gpus"] * hours if "gpus" in held else None,
        evaluated=len(history.scored) - reused if history else 0,
        failed=len(history.failures) if history else 0,
        reused=reused,
        in_flight=len(history.in_flight) if history else 0,
        distinct=len(history.known) if history else 0,
        rejected=len(history.rejected) if history else 0,
        skipped=sum(number is None for number, _ in history.asked) - len(history.rejected) if history else 0,
        stopped=history.stopped if history else 0,
        epochs=history.epochs if history else 0,
        supernets=len(logs["supernets"].history.finished) if "supernets" in logs else 0,
        finals=len(logs["final"].history.finished) if "final" in logs else 0,
    )


def _held(executor: Any) -> dict[str, float]:
    """Return the CPUs and GPUs that one evaluation occupies; empty where the executor does not declare them."""
    if not hasattr(executor, "cpus_per_worker"):
        return {}
    # RayTrain's workers share one evaluation; other executors give each evaluation one worker
    workers = executor.workers if isinstance(executor, RayTrain) else 1
    return {"cpus": workers * executor.cpus_per_worker, "gpus": workers * executor.gpus_per_worker}
