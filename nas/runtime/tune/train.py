"""One job as a Ray Train run: the workers' side, the process that starts the workers, and the session's side."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, final

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError, get_context
from ray.train.torch import TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.evaluation.evaluator import Job, Progress
from nas.record import RecordError
from nas.runtime.executor import Outcome, Session, Work, perform

SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # workers stay in the driver's folder, so that relative paths hold
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one process more, for a warning that no job listens to
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
}

FAREWELL_SECONDS = 60.0
"""How long the other workers may take to end when the first has."""

Event = tuple[str, Progress | Outcome]
"""Who says it, as `host:pid`, and what."""


def work_together(conductor: Any, work: Work, job: Job) -> None:
    """Do the job as one worker of several: the first one reports, and of a failure each that meets it.

    What is no fault of the candidate, as a lost peer, goes through to Ray Train, which starts all workers anew.
    """
    if ray.get(conductor.knows_the_end.remote()):
        return  # a worker died after all was done
    first, name = get_context().get_world_rank() == 0, f"{socket.gethostname()}:{os.getpid()}"
    for event in perform(work, job):
        if first or (isinstance(event, Outcome) and event.failure is not None):
            ray.get(conductor.put.remote((name, event)))


@final
class Conductor:
    """Runs Ray Train in a process beside the session's, and keeps what the workers say; when it is killed all of them go.

    In the session's own process Ray Train would take the place of Ctrl-C, and could not be stopped from another thread.
    """

    def __init__(self) -> None:
        self.events: SimpleQueue[Event | None] = SimpleQueue()
        self.ended = False

    def put(self, event: Event) -> None:
        """Take what a worker says."""
        self.ended = self.ended or isinstance(event[1], Outcome)
        self.events.put(event)

    def knows_the_end(self) -> bool:
        """Whether the job has an outcome."""
        return self.ended

    def next(self) -> Event | None:
        """Wait for what comes next; None where Ray Train has ended."""
        return self.events.get()

    def fit(self, each: Callable[[], None], scaling: ScalingConfig, storage: str, retries: int) -> str:
        """Run Ray Train to its end; returns why it could not, which is no fault of the candidate, or nothing."""
        os.environ.update(SETTINGS)
        failure = FailureConfig(max_failures=retries, controller_failure_limit=retries)  # type: ignore[call-arg]
        config = RunConfig(name="run", storage_path=storage, failure_config=failure)
        try:
            TorchTrainer(each, scaling_config=scaling, run_config=config).fit()
        except WorkerGroupError as error:
            self.put(("", Outcome(failure=f"its workers died {retries + 1} times", trace=str(error))))
        except TrainingFailedError as error:
            return " ".join(str(error).split())
        finally:
            self.events.put(None)
        return ""


def run(
    session: Session, work: Work, folder: Path | None, *, need: Mapping[str, float], workers: int, retries: int
) -> None:
    """Run a session's jobs one after another. Raises what the session raised, and KeyboardInterrupt on Ctrl-C.

    Raises RecordError where Ray Train cannot start the workers.
    """
    scaling = ScalingConfig(num_workers=workers, use_gpu="GPU" in need, resources_per_worker=dict(need))
    storage = Path(tempfile.mkdtemp(prefix="train-", dir=folder)).resolve()
    try:
        while (job := session.ask()) is not None:
            conductor = _beside().remote()
            try:
                each = partial(work_together, conductor, work, job)
                done = conductor.fit.remote(each, scaling, str(storage / str(job.number)), retries)
                name, outcome = _listen(session, job.number, conductor, done)
            finally:
                ray.kill(conductor)
            session.tell(job.number, name, outcome)
    finally:
        shutil.rmtree(storage, ignore_errors=True)  # Ray Train's own record; the journal is the truth
    if not session.finished:
        raise RuntimeError("the strategy waits for results and nothing is in flight: it must propose or end")


def _beside() -> Any:
    """Return the conductor as an actor of this node, where the run folder is; with a thread for each method."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Conductor).options(num_cpus=0, max_concurrency=4, scheduling_strategy=here)


def _listen(session: Session, number: int, conductor: Any, done: Any) -> tuple[str, Outcome]:
    """Pass on progress until the outcome comes; of a success all workers see the end, a failure may have left them waiting."""
    while (event := ray.get(conductor.next.remote())) is not None:
        name, said = event
        if not isinstance(said, Outcome):
            session.progress(number, name, said)
            continue
        if said.failure is None:
            ray.wait([done], timeout=FAREWELL_SECONDS)
        return name, said
    raise RecordError(
        f"Ray Train could not run the workers ({ray.get(done)}): see that the cluster has room for them, and that all its "
        "nodes see the run folder"
    )
