"""The two sides of a trial: the searcher in the session's process, and the trainable on the worker."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, final

import torch
from ray import cloudpickle, tune
from ray.tune.search import Searcher

from nas.evaluation.evaluator import Job, Progress
from nas.runtime.executor import Outcome, Session, perform
from nas.runtime.stage import Work

BEAT_SECONDS = 0.2
"""The interval between reports of a batch; a single job reports whenever it has progress."""

Event = tuple[int, Progress | Outcome]


@final
class JobTrainable(tune.Trainable):
    """The worker's side: a step runs the current job to its next report, or a batch for BEAT_SECONDS."""

    def setup(self, config: dict[str, Any], work: Work, threads: int | None) -> None:  # type: ignore[override]
        self.work, self.broken = work, False
        if threads is not None:
            torch.set_num_threads(threads)  # this process has no other worker
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self.broken:
            os._exit(1)  # after a CUDA error nothing runs on the GPU in this process; Tune starts another worker
        self.config: dict[str, Any] = {}  # emptied, since Tune copies it into every result
        self.jobs: deque[Job] = deque(cloudpickle.loads(new_config["jobs"]))
        self.beat_seconds = BEAT_SECONDS if len(self.jobs) > 1 else 0.0
        self.running: Iterator[Progress | Outcome] | None = None
        return True

    def step(self) -> dict[str, Any]:
        events: list[Event] = []  # a list, since Tune flattens dicts
        until = time.monotonic() + self.beat_seconds
        while self.jobs and (not events or time.monotonic() < until):
            events.append(self._advance())
        return {"events": events, "done": not self.jobs}

    def _advance(self) -> Event:
        job = self.jobs[0]
        self.running = self.running or perform(self.work, job)
        event = next(self.running)
        if isinstance(event, Outcome):
            self.running = None
            self.jobs.popleft()
            self.broken = "CUDA error" in (event.failure or "")
        return job.number, event


@final
class SessionSearcher(Searcher):
    """The session's side: offers jobs to Tune whenever a worker is free, and returns their outcomes to the session."""

    def __init__(self, session: Session, workers: int, batch: int, retries: int) -> None:
        super().__init__()
        self.session, self.workers, self.batch, self.retries = session, workers, batch, retries
        self.open: dict[str, dict[int, Job]] = {}  # by trial, the jobs without an outcome
        self.alone: deque[Job] = deque()  # left by a batch whose worker died, retried one by one
        self.ended = False
        self.error: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        # Tune asks for trials ahead of time, but a strategy should propose only when a worker is free
        jobs = self._next_jobs() if len(self.open) < self.workers else []
        if not (jobs or self.open or self.error or self.session.finished):
            self.error = RuntimeError("the strategy waits for results and nothing is in flight: it must propose or end")
        if self.error:
            raise self.error
        if jobs:
            self.open[trial_id] = {job.number: job for job in jobs}
            return {"jobs": cloudpickle.dumps(jobs)}  # type: ignore[no-untyped-call]
        # None makes Tune ask again later
        self.ended = not self.open
        return str(Searcher.FINISHED) if self.ended else None

    def _next_jobs(self) -> list[Job]:
        if self.alone:
            return [self.alone.popleft()]
        jobs: list[Job] = []
        while len(jobs) < self.batch and (job := self._guarded(self.session.ask)):
            jobs.append(job)
        return jobs

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        worker = f"{result['hostname']}:{result['pid']}"
        waiting = self.open.get(trial_id, {})
        for number, event in result["events"]:
            if number not in waiting:
                continue  # a retried batch repeats the outcomes it had
            if isinstance(event, Outcome):
                del waiting[number]
                self._guarded(self.session.tell, number, worker, event)
            else:
                self._guarded(self.session.progress, number, worker, event)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if result and "events" in result:
            self.on_trial_result(trial_id, result)
        left = self.open.pop(trial_id, {})
        if error and len(left) > 1:  # one job of the batch may have killed the worker: find out which
            self.alone.extend(left.values())
            return
        for number in left:
            self._guarded(self.session.tell, number, "", Outcome(failure=f"its worker died {self.retries + 1} times"))

    def _guarded(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Keep an exception of the session for the next `suggest`; raised here, Tune would take it for the trial's."""
        try:
            return call(*arguments)
        except Exception as error:  # noqa: BLE001, raised again in `run_trials`
            self.error = self.error or error

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher; the session stays here, and the journal has its state

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the journal has the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: the journal has the state."""


@final
class _Forget(tune.Callback):
    """A callback that removes the jobs from finished trials, which Tune keeps to the end."""

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        trial.config.clear()
        trial.evaluated_params.clear()

    on_trial_error = on_trial_complete


def run_trials(
    session: Session,
    work: Work,
    folder: Path | None,
    *,
    need: Mapping[str, float],
    workers: int,
    batch: int,
    retries: int,
    threads: int | None = None,
) -> None:
    """Run a session's jobs as Tune trials. Raises the exceptions of the session, and KeyboardInterrupt on Ctrl-C."""
    searcher = SessionSearcher(session, workers, batch, retries)
    storage = Path(tempfile.mkdtemp(prefix="tune-", dir=folder))
    trial = tune.with_parameters(JobTrainable, work=work, threads=threads)
    trainable = tune.with_resources(trial, tune.PlacementGroupFactory([dict(need)]))
    try:
        _tuner(searcher, trainable, storage.resolve(), retries).fit()
    except Exception:
        if searcher.error:
            raise searcher.error from None
        raise
    finally:
        shutil.rmtree(storage, ignore_errors=True)  # Tune's own record of the trials; the journal is the truth
    if not searcher.ended:  # on Ctrl-C Tune's own handler, if active, ends `fit` early without an exception
        raise KeyboardInterrupt


def _tuner(searcher: Searcher, trainable: Any, storage: Path, retries: int) -> tune.Tuner:
    config = tune.TuneConfig(
        search_alg=searcher,
        num_samples=-1,
        reuse_actors=True,  # with a new actor for each trial, only one trial per second
        trial_name_creator=_trial_id,
        trial_dirname_creator=_trial_id,
    )
    run_config = tune.RunConfig(
        name="trials",
        storage_path=str(storage),
        verbose=0,
        callbacks=[_Forget()],
        failure_config=tune.FailureConfig(max_failures=retries),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
    )
    return tune.Tuner(trainable, tune_config=config, run_config=run_config)


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)
