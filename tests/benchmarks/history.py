"""Speed of long histories: replaying a journal of 100,000 evaluations, and proposals of strategies that remember much."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from _timing import microseconds, report

from nas.history import History, Proposal
from nas.journal import Journal, finished_event, replay, started_event
from nas.records import digest
from nas.space import sample
from nas.strategies.nsga2 import Nsga2
from nas.strategies.optuna import Optuna
from nas.strategies.strategy import Strategy
from search_spaces.darts import darts
from search_spaces.nasbench201 import nasbench201

EVALUATIONS = 100_000
OBJECTIVES = ("score", "-cost")


def scores(architecture: object) -> dict[str, float]:
    number = int(digest(architecture), 16)
    return {"score": number % 10_007, "cost": number % 9_973}


def write(path: Path, space: object) -> None:
    """Write a journal of random architectures."""
    history, journal, rng = History("score"), Journal(path), Random(0)
    for _ in range(EVALUATIONS):
        number = history.start(Proposal(sample(space, rng)))
        journal.append(started_event(history, number, 0.0))
        journal.append(finished_event(history.finish(number, scores(history.proposals[number].architecture)), 0.0))
    journal.close()


def measure_replay(path: str) -> None:
    """Replay in a process of its own, whose memory is measured."""
    before = resident()
    start = time.process_time()
    history = replay(Path(path), "score")
    seconds = time.process_time() - start
    megabytes = resident() - before
    assert len(history.finished) == EVALUATIONS
    print(f"{seconds} {megabytes}")


def resident() -> float:
    """Return the resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def proposal_after(strategy: Strategy, space: object, size: int, objective: object) -> float:
    """Return the microseconds of a proposal after so many evaluations, with what is new since the last one."""
    history = History(objective)  # type: ignore[arg-type]

    def evaluate() -> None:
        rng = Random(len(history.proposals))
        proposal = strategy.propose(space, history, rng)
        assert proposal is not None
        number = history.start(proposal)
        history.finish(number, scores(proposal.architecture))

    for _ in range(size):
        evaluate()
    return microseconds(evaluate, 50)


def main() -> None:
    for name, space in (("NAS-Bench-201", nasbench201()), ("DARTS", darts())):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "history.jsonl"
            write(path, space)
            told = subprocess.run(
                [sys.executable, __file__, str(path)], check=True, capture_output=True, text=True
            ).stdout
            seconds, megabytes = map(float, told.split())
        # a DARTS cell has four times as many parts to read
        goal = "< 10" if name == "NAS-Bench-201" else "-"
        report(f"replay of {EVALUATIONS:,} evaluations of {name}", seconds, "s", goal)
        report(f"memory of {EVALUATIONS:,} evaluations of {name}", megabytes, "MB", "< 500")
    report(
        "NSGA-II, one evaluation after 2,000", proposal_after(Nsga2(), nasbench201(), 2000, OBJECTIVES), "us", "< 1000"
    )
    report("TPE, one evaluation after 500", proposal_after(Optuna(), nasbench201(), 500, "score"), "us", "< 20,000")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        import search_spaces.nasbench201  # noqa: F401, the records of the journal

        measure_replay(sys.argv[1])
    else:
        main()
