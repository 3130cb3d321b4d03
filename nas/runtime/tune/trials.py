"""The two sides of a trial: the searcher in the session's process, and the trainable on the worker."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, final

import torch
from ray import cloudpickle, tune
from ray.tune.schedulers import FIFOScheduler, HyperBandScheduler, TrialScheduler
from ray.tune.search import Searcher

from nas.evaluation.evaluator import Job, Progress
from nas.history import Objective
from nas.runtime.executor import Outcome, Session, perform, waits_for_nothing
from nas.runtime.stage import Work

BEAT_SECONDS = 0.2
"""The interval between reports of a batch; a single job reports whenever it has progress."""

EPOCH, VALUE = "epoch", "value"
"""The keys, in a trial's result, by which a scheduler of Tune stops it: epochs done, and the first objective, to be maximised."""

Event = tuple[int, Progress | Outcome]


@final
class JobTrainable(tune.Trainable):
    """The worker's side: a step runs the current job to its next report, or a batch for BEAT_SECONDS."""

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], work: Work, threads: int | None, objective: Objective
    ) -> None:
        self.work, self.objective, self.broken = work, objective, False
        self.running: Generator[Progress | Outcome, None, None] | None = None
        if threads is not None:
            torch.set_num_threads(threads)  # this process has no other worker
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self.broken:
            os._exit(1)  # after a CUDA error nothing runs on the GPU in this process; Tune starts another worker
        if self.running is not None:
            self.running.close()  # a training that was stopped gives its threads and files back
            self.running = None
        self.config: dict[str, Any] = {}  # emptied, since Tune copies it into every result
        self.jobs: deque[Job] = deque(cloudpickle.loads(new_config["jobs"]))
        self.beat_seconds = BEAT_SECONDS if len(self.jobs) > 1 else 0.0
        self.epoch, self.value = 0, -inf
        return True

    def step(self) -> dict[str, Any]:
        events: list[Event] = []  # a list, since Tune flattens dicts
        until = time.monotonic() + self.beat_seconds
        while self.jobs and (not events or time.monotonic() < until):
            events.append(self._advance())
        return {"events": events, "done": not self.jobs, **self._metrics(events)}

    def _metrics(self, events: Sequence[Event]) -> dict[str, float]:
        """Return the epoch and the objective's value for a scheduler, once for each epoch and again at the end."""
        is_new, (score, sign) = False, self.objective
        for _, event in events:
            # a trial that was paused may repeat epochs
            if (
                isinstance(event, Progress)
                and event.ends_an_epoch
                and event.epoch > self.epoch
                and score in event.scores
            ):
                self.epoch, self.value, is_new = int(event.epoch), sign * event.scores[score], True
        return {EPOCH: self.epoch, VALUE: self.value} if is_new or not self.jobs else {}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Keep the epoch of a paused trial; its training resumes from the checkpoint of the job."""
        return {EPOCH: self.epoch, VALUE: self.value}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Restore the epoch of a paused trial."""
        if checkpoint:
            self.epoch, self.value = checkpoint[EPOCH], checkpoint[VALUE]

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

    def __init__(self, session: Session, most: int, batch: int, retries: int) -> None:
        super().__init__()
        self.session, self.most, self.batch, self.retries = session, most, batch, retries  # most trials at once
        self.open: dict[str, dict[int, Job]] = {}  # by trial, the jobs without an outcome
        self.stopped = set[str]()  # the trials that the session wants to be stopped
        self.paused = set[str]()  # the trials that a scheduler lets wait for others, without a worker
        self.alone: deque[Job] = deque()  # left by a batch whose worker died, retried one by one
        self.ended = False
        self.error: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        # Tune asks for trials ahead of time, but a strategy should propose only when a worker is free
        jobs = self._next_jobs() if len(self.open) - len(self.paused) < self.most else []
        if not (jobs or self.open or self.error or self.session.finished):
            self.error = waits_for_nothing()
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
        # taken out, since a scheduler and Tune's own loop hand over the same result
        for number, event in result.pop("events", ()):
            if number not in waiting:
                continue  # a retried batch repeats the outcomes it had
            if isinstance(event, Outcome):
                del waiting[number]
                self._guarded(self.session.tell, number, worker, event)
            elif self._guarded(self.session.progress, number, worker, event):
                self.stopped.add(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if result:
            self.on_trial_result(trial_id, result)
        left = self.open.pop(trial_id, {})
        self.stopped.discard(trial_id)
        self.paused.discard(trial_id)
        if not error:  # a scheduler has stopped the trial, or the session; one that was paused has no result
            worker = f"{result['hostname']}:{result['pid']}" if result else ""
            for number in left:
                self._guarded(self.session.stop, number, worker)
            return
        if len(left) > 1:  # one job of the batch may have killed the worker: find out which
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
class SessionScheduler(FIFOScheduler):
    """A scheduler that stops a trial where the session says so, by its pruner."""

    def __init__(self, searcher: SessionSearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.searcher = searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        self.searcher.on_trial_result(trial.trial_id, result)
        is_stopped = trial.trial_id in self.searcher.stopped
        return str(self.STOP if is_stopped else self.CONTINUE)


@final
class _Trials(tune.Callback):
    """A callback that says which trials are paused, and removes the jobs from finished ones, which Tune keeps to the end."""

    def __init__(self, searcher: SessionSearcher) -> None:
        self.searcher = searcher

    def on_trial_save(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.searcher.paused.add(trial.trial_id)  # Tune saves a trial only to pause it

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.searcher.paused.discard(trial.trial_id)

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
    scheduler: TrialScheduler | None = None,
) -> None:
    """Run a session's jobs as Tune trials. Raises the exceptions of the session, and KeyboardInterrupt on Ctrl-C."""
    # HyperBand needs to know the next trial: a bracket in which all have reached its rung is halved, filled or not
    ahead = isinstance(scheduler, HyperBandScheduler)
    searcher = SessionSearcher(session, workers + ahead, batch, retries)
    storage = Path(tempfile.mkdtemp(prefix="tune-", dir=folder))
    trial = tune.with_parameters(JobTrainable, work=work, threads=threads, objective=session.objective)
    trainable = tune.with_resources(trial, tune.PlacementGroupFactory([dict(need)]))
    try:
        _tuner(searcher, trainable, storage.resolve(), retries, scheduler or SessionScheduler(searcher)).fit()
    except Exception:
        if searcher.error:
            raise searcher.error from None
        raise
    finally:
        shutil.rmtree(storage, ignore_errors=True)  # Tune's own record of the trials; the journal is the truth
    if not searcher.ended:  # on Ctrl-C Tune's own handler, if active, ends `fit` early without an exception
        raise KeyboardInterrupt


def _tuner(
    searcher: SessionSearcher, trainable: Any, storage: Path, retries: int, scheduler: TrialScheduler
) -> tune.Tuner:
    config = tune.TuneConfig(
        metric=VALUE,
        mode="max",
        search_alg=searcher,
        scheduler=scheduler,
        num_samples=-1,
        reuse_actors=True,  # with a new actor for each trial, only one trial per second
        trial_name_creator=_trial_id,
        trial_dirname_creator=_trial_id,
    )
    run_config = tune.RunConfig(
        name="trials",
        storage_path=str(storage),
        verbose=0,
        callbacks=[_Trials(searcher)],
        failure_config=tune.FailureConfig(max_failures=retries),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
    )
    return tune.Tuner(trainable, tune_config=config, run_config=run_config)


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)
