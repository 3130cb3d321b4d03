"""One job as a Ray Train run: the workers, the process that starts them, and the session."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, final

import ray
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError, get_context
from ray.train.torch import TorchTrainer
from ray.util import get_current_placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.evaluation.evaluator import Job, Progress
from nas.records import RecordError, one_line
from nas.runtime.executor import Outcome, Session, perform, waits_for_nothing
from nas.runtime.stage import Work
from nas.runtime.threads import threads_limited

SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # workers stay in the driver's folder, so that relative paths hold
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # an additional process, for a warning that no job uses
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "5",  # when a worker is lost the others cannot leave the group together
}

LOST = "a worker died: all workers restart from the last checkpoint"

Ended = tuple[str, Outcome]
"""The worker that reported the end of a job, as `host:pid`, and the outcome."""


def work_together(driver: Any, work: Work, threads: int | None, job: Job) -> None:
    """Run a job as one of several workers. Rank 0 reports; a failure is reported by every rank that meets it.

    An exception makes Ray Train stop the other workers, which may be waiting. It is raised for a failed candidate; an error that
    is not the candidate's, such as a lost peer, passes through `perform`.
    """
    ray.get(driver.begin.remote(get_current_placement_group()))  # first of all: `_dismiss` must find it at any time
    first, name = get_context().get_world_rank() == 0, f"{socket.gethostname()}:{os.getpid()}"
    with threads_limited(threads):
        for event in perform(work, job):
            failed = isinstance(event, Outcome) and event.failure is not None
            if first or failed:
                ray.get(driver.receive.remote(name, event))
            if failed:
                raise RuntimeError("the candidate failed")


@final
class TrainDriver:
    """A process next to the session's that runs Ray Train, and keeps the reports of workers until the session asks.

    In the session's own process Ray Train would handle Ctrl-C itself.
    """

    def __init__(self) -> None:
        self.progress: SimpleQueue[tuple[str, Progress] | None] = SimpleQueue()
        self.outcomes: list[Ended] = []
        self.place: Any = None

    def begin(self, place: Any) -> None:
        """Note the placement group that holds the workers."""
        self.place = place

    def receive(self, name: str, event: Progress | Outcome) -> None:
        """Take the report of a worker; of several outcomes the first counts."""
        if isinstance(event, Outcome):
            self.outcomes.append((name, event))
        else:
            self.progress.put((name, event))

    def next(self) -> tuple[str, Progress] | None:
        """Wait for the next progress of a worker; None when the job is over."""
        return self.progress.get()

    def where(self) -> Any:
        """Return the placement group of the last workers, if any."""
        return self.place

    def run_together(self, each: Callable[[], None], scaling: ScalingConfig, storage: str, retries: int) -> Ended | str:
        """Run a job to its end, with new workers where some died; return the error where Ray Train could not start them."""
        self.outcomes, lost = [], ""
        failure = FailureConfig(max_failures=0, controller_failure_limit=retries)  # type: ignore[call-arg]
        try:
            for attempt in range(retries + 1):
                config = RunConfig(name=str(attempt), storage_path=storage, failure_config=failure)
                try:
                    TorchTrainer(each, scaling_config=scaling, run_config=config).fit()
                except WorkerGroupError as error:
                    lost = str(error)
                    # with an outcome the candidate failed, which stopped the others: nothing to retry
                    if not self.outcomes and attempt < retries:
                        self.progress.put(("", Progress(warning=LOST)))
                if self.outcomes:
                    return self.outcomes[0]
        except TrainingFailedError as error:
            return one_line(error)
        finally:
            self.progress.put(None)  # ends the loop of the session, which waits in `next`
        return "", Outcome(failure=f"its workers died {retries + 1} times", trace=lost)


def run_together(
    session: Session,
    work: Work,
    folder: Path | None,
    *,
    need: Mapping[str, float],
    workers: int,
    retries: int,
    threads: int | None = None,
) -> None:
    """Run a session's jobs one after another. Raises the exceptions of the session, and KeyboardInterrupt on Ctrl-C.

    Raises RecordError where Ray Train cannot start the workers.
    """
    scaling = ScalingConfig(num_workers=workers, use_gpu="GPU" in need, resources_per_worker=dict(need))
    storage = Path(tempfile.mkdtemp(prefix="train-", dir=folder)).resolve()
    driver = _driver()
    try:
        while (job := session.ask()) is not None:
            each = partial(work_together, driver, work, threads, job)
            done = driver.run_together.remote(each, scaling, str(storage / str(job.number)), retries)
            while (report := ray.get(driver.next.remote())) is not None:
                if session.progress(job.number, *report):
                    _dismiss(driver)
                    driver = _driver()
                    session.stop(job.number, report[0])
                    break
            else:
                session.tell(job.number, *_ended(ray.get(done)))
    finally:
        _dismiss(driver)
        shutil.rmtree(storage, ignore_errors=True)  # Ray Train's own record; the journal is the truth
    if not session.finished:
        raise waits_for_nothing()


def _driver() -> Any:
    """Start the driver on this node, where the run folder is, with threads enough for its methods that wait."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    # at once `run_together` runs, `next` waits, workers call `receive`, and `where` must still get through
    actor = ray.remote(TrainDriver).options(
        num_cpus=0, max_concurrency=4, scheduling_strategy=here, runtime_env={"env_vars": SETTINGS}
    )
    return actor.remote()


def _ended(answer: Ended | str) -> Ended:
    if isinstance(answer, str):
        raise RecordError(
            f"Ray Train could not start the workers ({answer}): see that the cluster has room for them, and that all its "
            "nodes see the run folder"
        )
    return answer


def _dismiss(driver: Any) -> None:
    """Kill the driver and what it has started; the workers' placement group would otherwise live until Ray ends."""
    with suppress(RayError):
        place = ray.get(driver.where.remote())
        ray.kill(driver)
        if place is not None:
            remove_placement_group(place)
