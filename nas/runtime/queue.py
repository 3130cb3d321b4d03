"""The queue of a stage: propose, write to the journal, hand out, write to the journal.

The loop itself is the executor's, since only that knows when a worker is free; it calls `ask` and `tell` of this queue. Every
event is in the journal before anything else happens, so a stage that is interrupted at any moment resumes from its folder.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from nas.evaluation.evaluator import Job, Progress
from nas.history import REUSED, Evaluated, History, Objective, Proposal, describe_limits, read_objective
from nas.journal import (
    Journal,
    finished_event,
    forget_failures,
    rejected_event,
    replay,
    report_event,
    session_event,
    skipped_event,
    started_event,
)
from nas.records import RecordError, digest, nearest
from nas.runtime.checkpoints import StageCheckpoints
from nas.runtime.executor import Executor, Outcome
from nas.runtime.rules import Rules
from nas.runtime.run_clock import RunClock
from nas.runtime.stage import RunStage
from nas.runtime.view import View
from nas.strategies.random_search import RandomSearch

if TYPE_CHECKING:
    from nas.strategies.sampling.pruned_curves import PrunedCurves

Views = Callable[[RunStage], View]
"""A function that makes the view of a stage."""

REUSED_IN_A_ROW = 1000
"""The number of reused proposals in a row that ends a search, since they spend nothing of a budget."""


REJECTED_IN_A_ROW = 2000
"""The number of proposals in a row outside the limits that ends a search."""


SKIPPED_IN_A_ROW = 100
"""The number of skipped repeats in a row after which proposals are drawn at random, and after as many again the search ends."""


LONG = 1024
"""The number of evaluations after which the history, and again what is new in it, is kept from the garbage collector."""


class SearchFailed(RuntimeError):
    """The error of a stage that ended without any result."""


class Queue:
    """The proposals of one stage on their way to workers and back; a session for an executor.

    With a `folder` each event is written to the stage's journal, and an existing journal is resumed. Evaluations in flight are
    then handed out again first, under the same number, so that they find their checkpoints. Its clock is this machine's, or a
    simulated one, which begins at 0 and stands still until `set_time`.
    """

    def __init__(
        self, stage: RunStage, views: Sequence[View] = (), folder: Path | None = None, *, is_simulated: bool = False
    ) -> None:
        self.stage, self.rules, self.views, self.folder = stage, stage.rules, views, folder
        path = stage.journal(folder) if folder else None
        # before the journal is replayed: forgotten failures are then in flight again
        if path is not None and path.exists() and stage.retries_failures:
            forget_failures(path)
        self._journal = Journal(path) if path else None
        objective, limits = self.rules.objective, self.rules.limits
        self._curves, self._clock = _pruned_curves(self.rules), RunClock()
        self._started: dict[int, float] = {}
        self._equal: dict[tuple[str, int | None], Evaluated] = {}
        self.history = replay(path, objective, self._follow, limits) if path else History(objective, limits)
        self._simulated_time = self._clock.last if is_simulated else None
        if self.rules.budget is not None and self.rules.budget.hours is not None:
            self._write(session_event(self.now()))
        for done in self.history.scored:
            self._note_equal(done)
        self._again = sorted(self.history.in_flight)
        self._handed_out_again: dict[int, float] = {}
        self._exhausted = False
        self._reused_in_a_row = 0
        self._failed_in_a_row: list[Evaluated] = []
        self._rng = Random()
        self._checkpoints = StageCheckpoints(stage, self.history, folder)

    def now(self) -> float:
        """Return the time of the clock in seconds: since 1970, or since the beginning where it is simulated."""
        return time.time() if self._simulated_time is None else self._simulated_time

    def set_time(self, seconds: float) -> None:
        """Set the simulated clock."""
        self._simulated_time = seconds

    def started_at(self, number: int) -> float:
        """Return the time at which an evaluation in flight was proposed."""
        return self._started[number]

    @property
    def finished(self) -> bool:
        return not self.history.in_flight and (self._exhausted or self._is_spent())

    def close(self) -> None:
        """Close the journal; another process may then resume it."""
        if self._journal is not None:
            self._journal.close()

    def ask(self) -> Job | None:
        """Return the next job: first those that were in flight at an interruption, then the proposals of the source."""
        while self._again or not self._is_spent():
            number = self._take_up() if self._again else self._propose()
            if number is None:
                return None
            if not self._reuse(number):
                return self._hand_out(number)
        return None

    def _take_up(self) -> int:
        number = self._again.pop(0)
        self._handed_out_again[number] = self.now()
        return number

    def _propose(self) -> int | None:
        number = len(self.history.proposals)
        repeats = 0
        for _ in range(REJECTED_IN_A_ROW):
            # one seed per proposal and rejection, so that a resumed search draws the same
            unwanted = len(self.history.asked) - number
            self._rng.seed(unwanted << 64 | self.rules.seed << 32 | number)
            # a sampler that only repeats itself, as TPE at its optimum, gives way to random draws
            source = self.stage.source if repeats < SKIPPED_IN_A_ROW else RandomSearch()
            proposal = source.propose(self.stage.space, self.history, self._rng)
            if proposal is None:
                self._exhausted = not self.history.in_flight
                return None
            if self._skip(proposal):
                repeats += 1
                if repeats == 2 * SKIPPED_IN_A_ROW:
                    self._exhausted = not self.history.in_flight  # the strategy has nothing new any more
                    return None
            elif not self._reject(proposal):
                self.history.start(proposal)
                self._write(started_event(self.history, number, self.now()))
                return number
        raise SearchFailed(self._too_narrow())

    def _skip(self, proposal: Proposal) -> bool:
        """Skip a proposal whose architecture is known, if the rules want so; the strategy is then asked again."""
        if (
            proposal.resumes is not None
            or self.rules.duplicates != "skip"
            or digest(proposal.architecture) not in self.history.known
        ):
            return False
        self.history.skip(proposal)
        self._write(skipped_event(proposal, self.now()))
        return True

    def _reject(self, proposal: Proposal) -> bool:
        """Reject a proposal whose known costs are outside the limits; the strategy is then asked again."""
        if self.stage.costs is None or not self.rules.limits:
            return False
        try:
            costs = self.stage.costs(proposal.architecture)
        except (RecordError, RuntimeError):
            return False  # such as a network that cannot be built: its evaluation fails, with the reason in the journal
        if not self.history.excess(costs):
            return False
        self.history.reject(proposal)
        self._write(
            rejected_event(proposal, {name: costs[name] for name in self.rules.limits if name in costs}, self.now())
        )
        return True

    def _too_narrow(self) -> str:
        limits = describe_limits(self.rules.limits)
        asked = len(self.history.rejected) + len(self.history.proposals)
        return (
            f"{len(self.history.proposals):,} of {asked:,} proposals are within {limits}, and of the last "
            f"{REJECTED_IN_A_ROW:,} none is: widen the limits, or give a space with more such architectures"
        )

    @property
    def objective(self) -> Objective:
        return self.history.objectives[0]

    def progress(self, number: int, worker: str, progress: Progress) -> bool:
        """Show the progress that a job reports; write the scores of whole epochs, and stop by them if the rules have a pruner."""
        for view in self.views:
            view.progress(number, worker, progress)
        if not (progress.ends_an_epoch and progress.scores):
            return False
        epoch = int(progress.epoch)
        if self.history.report(number, epoch, progress.scores):
            return self._write(report_event(number, epoch, progress.scores, self.now()))
        # a resumed training repeats epochs; it was not stopped before the last
        is_last = epoch == max(self.history.curve(number))
        return self._curves is not None and is_last and self._curves.is_pruned(number)

    def stop(self, number: int, worker: str) -> None:
        """End a job that was stopped with the scores after its last epoch; without any it counts as failed."""
        curve = self.history.curve(number)
        if curve:
            self._end(number, worker, Outcome(curve[max(curve)]), max(curve))
        else:
            self._end(number, worker, Outcome(failure="it was stopped before its first scores"), None)

    def tell(self, number: int, worker: str, outcome: Outcome) -> None:
        """Write the outcome of a job to the journal. Raises SearchFailed after too many failures in a row."""
        self._end(number, worker, outcome, self.history.proposals[number].epochs)

    def _reached(self, epochs: int | None) -> int | None:
        """Return how far a training came; None where to its recipe's end."""
        full = self.stage.full_epochs
        return None if epochs is None or (full is not None and epochs >= full) else epochs

    def _end(self, number: int, worker: str, outcome: Outcome, epochs: int | None) -> None:
        epochs = self._reached(epochs)
        if outcome.scores is not None:
            done = self.history.finish(number, outcome.scores, worker, epochs)
            self._note_equal(done)
        else:
            done = self.history.fail(number, outcome.failure or "no reason given", worker)
        # to the journal first: what follows may raise, and the outcome must not be lost
        self._close(done)
        _spare_collections(len(self.history.finished))
        self._check_objective(done, outcome)
        if outcome.trace and self.folder:
            with suppress(OSError):  # as when the disk is full: the reason is in the journal
                (self.folder / "failures").mkdir(exist_ok=True)
                file = self.folder / "failures" / f"{self.stage.stem}-{number:05}.txt"
                file.write_text(outcome.trace, "utf-8", "backslashreplace")
        self._give_up_if_hopeless(done)

    def _check_objective(self, done: Evaluated, outcome: Outcome) -> None:
        """Raise RecordError where the first scores lack the objective, since all later ones will too."""
        if not outcome.scores or self.history.scored or done.is_screened or self.history.excess(outcome.scores):
            return
        wanted = {each.score: self.stage.objective_key for each in self.history.objectives}
        for name, key in {**{name: f"rules.limits.{name}" for name in self.rules.limits}, **wanted}.items():
            if name not in outcome.scores:
                raise RecordError(
                    f"{key} is {name!r}, and the scores are {', '.join(outcome.scores)}: {nearest(name, outcome.scores)}",
                    key,
                )

    def _give_up_if_hopeless(self, done: Evaluated) -> None:
        if done.failure is not None and done.scores:
            return  # it ended at a limit: no reason to give the search up
        if done.failure is not None:
            self._failed_in_a_row.append(done)
            if len(self._failed_in_a_row) >= self.rules.give_up_after:
                raise SearchFailed(commonest_reason(self._failed_in_a_row))
            return
        self._failed_in_a_row.clear()
        has_no_seconds = "seconds" not in done.scores and not done.is_screened
        if self.rules.budget and self.rules.budget.seconds is not None and has_no_seconds:
            scores = ", ".join(done.scores)
            raise RecordError(
                f"rules.budget.seconds: the evaluations have no score `seconds`, only {scores}: give `evaluations`"
            )

    def _is_spent(self) -> bool:
        budget, history = self.rules.budget, self.history
        if budget is None:
            return False
        if self._reused_in_a_row >= REUSED_IN_A_ROW:
            return True
        return (
            (budget.evaluations is not None and history.paid >= budget.evaluations)
            or (budget.seconds is not None and history.totals.get("seconds", 0.0) >= budget.seconds)
            or (budget.epochs is not None and history.epochs >= budget.epochs)
            or (budget.hours is not None and self._clock.seconds(self.now()) >= 3600 * budget.hours)
        )

    def _hand_out(self, number: int) -> Job:
        proposal = self.history.proposals[number]
        for view in self.views:
            view.started(number, proposal)
        # the job's seed is distinct for each run seed and number, up to a million numbers
        seed = self.rules.seed * 1_000_003 + self.history.root(number)
        checkpoint, parent = self._checkpoints.hand_out(number), self._checkpoints.parent(proposal)
        return Job(number, proposal.architecture, seed, checkpoint, proposal.epochs, parent)

    def _reuse(self, number: int) -> bool:
        """Finish a proposal with the scores of an earlier evaluation of an equal architecture, if any; this takes no time.

        Scores of inherited weights depend on the ancestors, too: those are not reused.
        """
        proposal = self.history.proposals[number]
        reached = self._reached(proposal.epochs)
        known = self.history.scored_as.get((self.history.digests[number], reached))
        if known is None and self._equal and self.stage.canonical is not None:
            known = self._equal.get((self.stage.canonical(proposal.architecture), reached))
        if known is None or self.rules.duplicates not in ("reuse", "reuse_equal") or self.stage.inherits:
            self._reused_in_a_row = 0
            return False
        self._close(self.history.finish(number, {**known.scores, "seconds": 0.0}, REUSED, known.epochs))
        self._reused_in_a_row += 1
        return True

    def _note_equal(self, done: Evaluated) -> None:
        """Note an evaluation by the canonical text of its architecture, so that an equal one can reuse its scores."""
        if self.stage.canonical is not None and done.failure is None and self.rules.duplicates == "reuse_equal":
            self._equal.setdefault((self.stage.canonical(done.architecture), done.epochs), done)

    def _close(self, done: Evaluated) -> None:
        self._write(finished_event(done, self.now(), self._handed_out_again.pop(done.number, None)))
        # only after the journal has the outcome; a failure that will be retried keeps its checkpoint
        if done.failure is None or not self.stage.retries_failures:
            self._checkpoints.drop()
        for view in self.views:
            view.finished(done, self.history)

    def _write(self, event: dict[str, Any]) -> bool:
        """Write an event to the journal; returns whether the pruner then stops the evaluation."""
        if self._journal is not None:
            self._journal.append(event)
        return self._follow(event)

    def _follow(self, event: Mapping[str, Any]) -> bool:
        self._clock.follow(event)
        if event["event"] == "start":
            self._started[event["number"]] = event["at"]
        elif event["event"] == "finish":
            self._started.pop(event["number"], None)
        return self._curves is not None and self._curves.follow(event)


def _spare_collections(finished: int) -> None:
    """Take what is new in the history out of the garbage collector's sight from time to time, since searching it takes long.

    What is garbage by then is collected before, so that nothing else stays.
    """
    if finished % LONG == 0:
        gc.collect()
        gc.freeze()


def _pruned_curves(rules: Rules) -> PrunedCurves | None:
    """Return the curves that the pruner of the rules watches, if it has one."""
    if rules.pruner is None:
        return None
    # only where it is used: it imports Optuna
    from nas.strategies.sampling.pruned_curves import PrunedCurves

    return PrunedCurves(rules.pruner, read_objective(rules.objective))


def commonest_reason(failures: Iterable[Evaluated]) -> str:
    """Return in words how many evaluations failed in a row, and the most common reason."""
    counted = Counter(done.failure for done in failures)
    if not counted:
        return "no evaluation has the objective: all were only screened, so give a larger budget"
    reason, times = counted.most_common(1)[0]
    return f"{counted.total()} evaluations in a row failed, {times} of them with: {reason}"


def carry_out(stage: RunStage, executor: Executor, views: Views, folder: Path) -> History:
    """Run a stage, or what is left of it, on an executor; return its history."""
    with (
        executor.watched(stage, folder) as more,
        closing(Queue(stage, [views(stage), *more], folder, is_simulated=executor.simulates)) as queue,
    ):
        try:
            executor.run(queue, stage.work, folder)
        finally:
            if len(queue.history.finished) >= LONG:
                gc.unfreeze()
    return queue.history
