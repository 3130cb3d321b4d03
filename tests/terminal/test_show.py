"""`nas show RUN`: a run that goes on, was killed or has ended, by what stands in its journal."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nas.history import Evaluated, Proposal
from nas.journal import Journal
from nas.records import RecordError
from nas.terminal import show_run
from nas.terminal.show_run import look, watch_run

Call = Callable[..., Any]
Toy = Callable[..., Path]

BEGIN = 1_800_000_000.0


def started(number: int, at: float, parents: tuple[int, ...] = ()) -> dict[str, Any]:
    """Return the line of a proposal, of a string of bits that no other number has."""
    bits = [int(bit) for bit in f"{number:0100b}"]
    name = {
        "event": "start",
        "number": number,
        "digest": f"{number:016x}",
        "origin": "mutation" if parents else "random",
    }
    return {**name, "parents": list(parents), "architecture": {"Bits": {"values": bits}}, "at": BEGIN + at}


def finished(number: int, at: float, fitness: float, worker: str = "host:1") -> dict[str, Any]:
    scores = {"scores": {"fitness": fitness, "seconds": 2.0}}
    return {"event": "finish", "number": number, **scores, "worker": worker, "at": BEGIN + at}


def failed(number: int, at: float, worker: str = "host:1") -> dict[str, Any]:
    failure = {"failure": f"ValueError: no [/a] in {number}"}
    return {"event": "finish", "number": number, **failure, "worker": worker, "at": BEGIN + at}


@pytest.fixture
def made(toy: Toy, run_folder: Path) -> Callable[..., Path]:
    """Return a function that makes a run folder with these events in its journal."""

    def make(*events: dict[str, Any], changes: tuple[tuple[str, str], ...] = ()) -> Path:
        run_folder.mkdir()
        (run_folder / "experiment.yaml").write_text(toy(*changes).read_text("utf-8"), encoding="utf-8")
        with closing(Journal(run_folder / "history.jsonl")) as journal:
            for event in events:
                journal.append(event)
        return run_folder

    return make


@pytest.fixture
def cut_off(made: Callable[..., Path]) -> Path:
    """Return a run of two workers that was cut off: 5 of 12 are done, one of them failed, two were in flight."""
    return made(
        started(0, 0),
        started(1, 0),
        finished(0, 10, 0.25),
        started(2, 10),
        finished(1, 10, 0.5, "host:2"),
        started(3, 10, (1,)),
        failed(2, 20),
        started(4, 20, (1,)),
        finished(3, 20, 0.75, "host:2"),
        started(5, 20, (3,)),
        finished(4, 30, 0.5),
        started(6, 30, (3, 1)),
    )


def test_a_run_that_was_cut_off_is_shown(cut_off: Path, call: Call) -> None:
    answer = call("show", cut_off)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert f"Stopped before its end: continue with nas resume {cut_off}" in lines
    assert f"{cut_off}: 4 evaluated, 2 in flight, 1 failed" in lines
    assert "stopped, 5 of 12 evaluations, 30 s since the first proposal, about 35 s left" in lines
    (curve,) = (line for line in lines if line.startswith("fitness"))
    assert curve == "fitness 0.25 ▁▄██ 0.75"
    assert any(line.startswith("Best of the search: #3, fitness 0.75") for line in lines)
    assert "In flight when it was stopped" in lines
    assert {"  #5  mutation of #3", "  #6  mutation of #3, #1"} <= set(lines)
    assert "#2 failed: ValueError: no [/a] in 2" in lines
    workers = [line.split()[:3] for line in lines if line.startswith("host:")]
    assert [(name, count) for name, count, _ in workers] == [("host:1", "3"), ("host:2", "2")]
    assert workers[0][2] == "1", "one of its three failed"


def test_the_time_left_is_that_of_what_is_left_by_so_many_at_once(cut_off: Path) -> None:
    seen = look(cut_off, BEGIN + 1000)
    assert (seen.state, seen.seconds) == ("stopped", 30)
    assert seen.seconds_left == (12 - 5) * 10 / 2


def test_a_budget_in_seconds_is_counted_in_seconds_of_evaluation(made: Callable[..., Path], call: Call) -> None:
    events = (started(0, 0), finished(0, 4, 0.5), started(1, 4), finished(1, 8, 0.5), started(2, 8))
    folder = made(*events, changes=(("evaluations: 12", "seconds: 10"),))
    assert look(folder, BEGIN).seconds_left == (10 - 4) / 2 * 4
    assert "4 s of 10 s of evaluation" in call("show", folder).stdout


def test_the_last_evaluations_stand_beside_the_best(made: Callable[..., Path], call: Call) -> None:
    events = [each for i in range(60) for each in (started(i, i), finished(i, i + 1, 0.9 if i == 4 else i / 100))]
    folder = made(*events, changes=(("evaluations: 12", "evaluations: 100"),))
    mean = sum(i / 100 for i in range(10, 60)) / 50
    assert f"Last 50: best 0.59, mean {mean:.4g}; 55 evaluations since the best" in call("show", folder).stdout


def test_what_is_minimised_is_shown_as_it_is(made: Callable[..., Path], call: Call) -> None:
    folder = made(
        started(0, 0),
        finished(0, 1, 0.5),
        started(1, 1),
        finished(1, 2, 0.25),
        changes=(("objective: fitness", "objective: -fitness"),),
    )
    assert "fitness 0.5 ▁█ 0.25\n" in call("show", folder).stdout


def test_a_run_goes_on_as_long_as_its_journal_is_held(cut_off: Path, call: Call) -> None:
    with closing(Journal(cut_off / "history.jsonl")):
        assert look(cut_off, BEGIN + 50).state == "running"
        assert look(cut_off, BEGIN + 50).seconds == 50
        shown = call("show", cut_off).stdout
    assert "running, 5 of 12 evaluations" in shown
    assert "nas resume" not in shown
    assert "  #5  mutation of #3  for " in shown
    assert look(cut_off, BEGIN + 50).state == "stopped"


def test_a_killed_process_leaves_a_run_that_was_stopped(cut_off: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from nas.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\nprint('held', flush=True)\ntime.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(cut_off / "history.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        during = look(cut_off, BEGIN).state
        writer.kill()
    assert during == "running"
    assert look(cut_off, BEGIN).state == "stopped"


def test_looking_holds_nobody_up(cut_off: Path) -> None:
    look(cut_off, BEGIN)
    with closing(Journal(cut_off / "history.jsonl")):
        assert look(cut_off, BEGIN).state == "running"


def test_a_run_has_ended_when_its_final_trainings_have(toy: Toy, call: Call, run_folder: Path) -> None:
    more = "final: {objective: true_fitness, beside_random: true}\n"
    assert call("search", toy(more=more), "--run-dir", run_folder).returncode == 0
    assert "ended, 12 of 12 evaluations" in call("show", run_folder).stdout
    lines = (run_folder / "final.jsonl").read_text("utf-8").splitlines(keepends=True)
    (run_folder / "final.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    shown = call("show", run_folder).stdout
    assert f"Stopped before its end: continue with nas resume {run_folder}" in shown
    assert "Tested once, after the search\n" in shown


@pytest.mark.parametrize(
    ("objective", "best", "is_said"), [("score", 3.0, False), ("score", 1.0, True), ("-score", 3.0, True)]
)
def test_it_is_said_where_the_best_is_no_better_than_random(objective: str, best: float, is_said: bool) -> None:
    scores = {"best": best, "random 1": 1.5, "random 2": 2.5}
    finals = {role: Evaluated(i, Proposal(i), "", {"score": score}) for i, (role, score) in enumerate(scores.items())}
    console = Console(file=StringIO(), width=300)
    show_run.print_finals(finals, objective, console)
    assert isinstance(console.file, StringIO)
    assert ("no better than the random architectures" in console.file.getvalue()) == is_said


def test_watching_ends_with_the_run_and_writes_nothing(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show_run, "SECONDS_BETWEEN_LOOKS", 0.02)
    journal, printed = Journal(cut_off / "history.jsonl"), StringIO()
    before = sorted(cut_off.rglob("*"))

    def end() -> None:
        journal.append(finished(6, 40, 1.0))
        journal.close()

    timer = threading.Timer(0.2, end)
    timer.start()
    watch_run(cut_off, Console(file=printed, width=150, force_terminal=True))
    timer.join()
    text = printed.getvalue()
    assert text.index("running, 5 of 12") < text.index("stopped, 6 of 12")
    assert "Best of the search" in text
    assert "#6, fitness 1" in text
    assert sorted(cut_off.rglob("*")) == before


def test_a_damaged_journal_is_named_with_its_line(cut_off: Path) -> None:
    path = cut_off / "history.jsonl"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines[:3], "{", *lines[4:]]) + "\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"history\.jsonl, line 4: damaged"):
        look(cut_off, BEGIN)


def test_a_line_that_is_being_written_is_left_for_later(cut_off: Path) -> None:
    with (cut_off / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(finished(5, 50, 1.0))[:30])
    seen = look(cut_off, BEGIN + 50)
    assert seen.history is not None
    assert sorted(seen.history.in_flight) == [5, 6]
