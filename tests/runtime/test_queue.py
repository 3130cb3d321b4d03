"""The queue of a stage: budgets, failures, its journal, and what a view shows of it."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console
from toy_evaluators import TOYS_EVALUATOR, Scoring, declare, ends, error_of, share

from nas.evaluation.evaluator import Job, at_once
from nas.history import History, Proposal
from nas.journal import replay
from nas.records import RecordError
from nas.runtime.inline import Inline
from nas.runtime.queue import Queue, SearchFailed
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.runtime.view import View
from nas.strategies.random_search import RandomSearch
from nas.strategies.strategy import Strategy
from nas.terminal.live import Terminal
from search_spaces.bits import bits

Call = Callable[..., Any]
Toy = Callable[..., Path]

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("own_records")


def search(
    scoring: Scoring, rules: Rules, folder: Path | None = None, view: View | None = None, bit: int = 4
) -> History:
    """Search at random among strings of so many bits, in this process."""
    stage = RunStage(
        "search", RandomSearch(), lambda job: at_once(scoring(job)), rules, str, bits(bit), retries_failures=False
    )
    session = Queue(stage, [view] if view else [], folder)
    try:
        Inline().run(session, stage.work, None)
    finally:
        session.close()
    return session.history


class Listed(Strategy):
    """Proposes given architectures."""

    def __init__(self, *architectures: Any) -> None:
        self.architectures = architectures

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        number = len(history.proposals)
        return Proposal(self.architectures[number]) if number < len(self.architectures) else None


def test_a_budget_in_seconds_ends_where_everything_is_known() -> None:
    history = search(lambda job: {"fitness": 1.0, "seconds": 2.0}, Rules(Budget(seconds=100), "fitness"), bit=2)
    assert history.totals["seconds"] == 8.0, "there are four strings of two bits"
    assert len(history.scored_as) == 4
    assert len(history.proposals) < 2000


def test_a_budget_in_seconds_needs_evaluations_that_have_seconds(toy: Toy, call: Call, run_folder: Path) -> None:
    answer = call("search", toy(("evaluations: 12", "seconds: 5")), "--run-dir", run_folder)
    said = (
        "rules.budget.seconds: the evaluations have no score `seconds`, only fitness, true_fitness: give `evaluations`"
    )
    assert said in error_of(answer)


@pytest.mark.parametrize(("begin", "reached"), [(0, 3), (5, 8)])
def test_failures_in_a_row_are_counted_whatever_was_before(begin: int, reached: int) -> None:
    done: list[int] = []

    def scoring(job: Job) -> dict[str, float]:
        done.append(job.number)
        if job.number >= begin:
            raise ValueError("no more")
        return {"fitness": 1.0}

    with pytest.raises(SearchFailed, match="3 evaluations in a row failed, 3 of them with: ValueError: no more"):
        search(scoring, Rules(Budget(50), "fitness", "evaluate", give_up_after=3))
    assert len(done) == reached


def test_a_success_between_failures_starts_the_count_anew() -> None:
    def scoring(job: Job) -> dict[str, float]:
        return {"fitness": 1.0} if job.number % 3 == 2 else {}

    history = search(scoring, Rules(Budget(30), "fitness", "evaluate", give_up_after=3))
    assert (len(history.failures), len(history.scored)) == (20, 10)


def test_scores_that_are_no_numbers_are_left_out_of_journal_and_history(run_folder: Path) -> None:
    run_folder.mkdir()
    odd = {"latency": math.nan, "loss": math.inf, "params": 3.0}
    rules = Rules(Budget(3), "fitness", "evaluate")
    history = search(lambda job: {"fitness": math.nan if job.number == 1 else 0.5, **odd}, rules, run_folder)
    assert [done.scores for done in history.scored] == [{"fitness": 0.5, "params": 3.0}] * 2
    assert [done.failure for done in history.failures] == ["fitness is nan"]
    assert vars(replay(run_folder / "history.jsonl", "fitness")) == vars(history)
    text = (run_folder / "history.jsonl").read_text(encoding="utf-8")
    assert not any(constant in text for constant in (": NaN", ": Infinity", ": -Infinity"))


def test_a_reuse_that_was_cut_off_is_finished_as_a_reuse(run_folder: Path) -> None:
    run_folder.mkdir()
    one, other = bits(2).__class__((0, 1)), bits(2).__class__((1, 1))
    asked: list[int] = []

    def go(*architectures: Any) -> None:
        rules = Rules(Budget(len(architectures)), "fitness")
        work = lambda job: at_once(asked.append(job.number) or share(job))  # noqa: E731
        session = Queue(RunStage("search", Listed(*architectures), work, rules, str, bits(2)), folder=run_folder)
        Inline().run(session, work, None)
        session.close()

    go(one, one)
    journal = run_folder / "history.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    assert json.loads(lines[-1])["worker"] == "reused"
    journal.write_text("".join(lines[:-1]), encoding="utf-8")
    go(one, one, other)
    assert asked == [0, 2]
    assert [end["worker"] for end in ends(run_folder)] == ["inline", "reused", "inline"]
    assert ends(run_folder)[1]["scores"] == {"fitness": 0.5, "seconds": 0.0}


HOLDER = """
import sys
from pathlib import Path
from nas.runtime.queue import Queue
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.strategies.random_search import RandomSearch
from search_spaces.bits import bits
stage = RunStage("search", RandomSearch(), print, Rules(Budget(3), "fitness"), str, bits(4))
search = Queue(stage, folder=Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
search.close()
print("closed", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="journals are not locked there")
def test_a_second_search_on_a_folder_is_refused_until_the_first_is_closed(run_folder: Path) -> None:
    run_folder.mkdir()
    command = [sys.executable, "-c", HOLDER, str(run_folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RecordError, match=r"history.jsonl is being written by another process: wait"):
            search(share, Rules(Budget(3), "fitness"), run_folder)
        print(file=holder.stdin, flush=True)
        assert holder.stdout.readline() == "closed\n"
        assert search(share, Rules(Budget(3), "fitness"), run_folder).evaluations == 3
        assert holder.poll() is None, "it was closed, and has not ended"
        holder.stdin.close()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_failure_is_shown_as_it_is_with_its_brackets(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, markup=False, highlight=False)

    def scoring(job: Job) -> dict[str, float]:
        raise ValueError("a size of [/a] in [bold]")

    with Terminal(console, RunStage("search", RandomSearch(), print, Rules(Budget(2), "fitness"), str)) as view:
        search(scoring, Rules(Budget(2), "fitness"), view=view)
    assert console.file.getvalue().count("failed: ValueError: a size of [/a] in [bold]") == 2  # type: ignore[attr-defined]


def test_a_run_in_which_all_failed_is_shown_with_its_reasons(toy: Toy, call: Call, run_folder: Path) -> None:
    def scoring(job: Job) -> dict[str, float]:
        raise ValueError(f"no {job.number} in [/a]")

    declare("AllFail", scoring)
    path = toy((TOYS_EVALUATOR, "AllFail: {}"), ("evaluations: 12", "evaluations: 3"))
    assert call("search", path, "--run-dir", run_folder).returncode == 1
    shown = call("show", run_folder)
    assert shown.returncode == 0
    assert "0 evaluated, 0 in flight, 3 failed" in shown.stdout
    for number in range(3):
        assert f"#{number} failed: ValueError: no {number} in [/a]\n" in shown.stdout
