"""What a user is told of a run in every state it can be left in: by `nas show`, by `nas show --watch` and by the report."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
from report_runs import FINAL, TOY, carried_out
from rich.console import Console
from safetensors.torch import save_file

from nas import lock
from nas.data.digits import Digits
from nas.evaluation.results import append_epoch
from nas.family import family
from nas.lock import held
from nas.plain import write
from nas.records import RecordError, digest, to_plain
from nas.report.summary.summarise import summarise
from nas.runs import experiment as experiments
from nas.runs.architecture import StackedNetwork
from nas.runs.folder import make_folder, provenance, write_declared
from nas.runs.full_training import FullTraining
from nas.runs.run import create_folder, plan
from nas.runs.transfer_trials import Transfer
from nas.runtime.inline import Inline
from nas.supernets.recipe import Seed
from nas.terminal import show_run
from nas.terminal.show_run import watch_run
from nas.training.reports import Epoch

Call = Callable[..., Any]

TESTED = "Tested once, after the search"
RESUME = "continue with nas resume"

SUPERNET = """\
space: nasbench201
network: {channels: 2, cells_per_stage: 1}
supernet:
  method: Darts
  data: Digits
  epochs: 500
  images: 100
  weights: {batch: 50, lr: 0.1, augmentation: {crop_pad: 1, flip: false}}
  alphas: {images: 50, lr: 0.03, from_epoch: 1}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a real search that has ended, with its best and two random architectures tested."""
    return carried_out(TOY + FINAL, tmp_path_factory.mktemp("runs") / "finished")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(copytree(finished, tmp_path / "run"))


def cut(journal: Path, lines: int) -> None:
    """Keep the first lines of a journal, as if its writer had been killed then."""
    journal.write_text("".join(journal.read_text("utf-8").splitlines(keepends=True)[:lines]), encoding="utf-8")


def fail(journal: Path, *numbers: int) -> None:
    """Let evaluations of a journal have failed."""
    lines = [json.loads(line) for line in journal.read_text("utf-8").splitlines()]
    for line in lines:
        if line.get("event") == "finish" and line["number"] in numbers:
            del line["scores"]
            line["failure"] = "out of memory"
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink(missing_ok=True)

    return remove


LATER = ("best.json", "best.svg", "final.jsonl", "random-1.json", "random-2.json")


def killed_while_searching(folder: Path) -> None:
    without(*LATER)(folder)
    cut(folder / "history.jsonl", 10)


def killed_before_the_first(folder: Path) -> None:
    without(*LATER)(folder)
    cut(folder / "history.jsonl", 2)


def killed_in_the_final(lines: int) -> Callable[[Path], None]:
    return lambda folder: cut(folder / "final.jsonl", lines)


def failed_finals(*numbers: int) -> Callable[[Path], None]:
    return lambda folder: fail(folder / "final.jsonl", *numbers)


@dataclass(frozen=True, slots=True)
class Told:
    """What is said, and what is not said, of a run in a state."""

    state: str
    leave: Callable[[Path], None]
    said: tuple[str, ...]
    unsaid: tuple[str, ...] = ()


STATES: Mapping[str, Told] = {
    "finished": Told("ended", lambda folder: None, ("ended, 60 of 60 evaluations", TESTED), (RESUME, "failed:")),
    "not begun": Told(
        "stopped", without("history.jsonl", *LATER), (RESUME, "stopped, nothing was evaluated yet"), (TESTED,)
    ),
    "killed before the first evaluation": Told(
        "stopped",
        killed_before_the_first,
        (RESUME, "stopped, nothing was evaluated yet, 1 under way", "In flight when it was stopped"),
        (TESTED,),
    ),
    "killed while searching": Told(
        "stopped",
        killed_while_searching,
        (RESUME, "stopped, 4 of 60 evaluations", "In flight when it was stopped", "Best of the search"),
        (TESTED, "running"),
    ),
    "killed between search and final": Told("stopped", without("final.jsonl"), (RESUME,), (TESTED, "running")),
    "killed in the final": Told(
        "stopped",
        killed_in_the_final(2),
        (RESUME, "Final training of best: interrupted when the run was stopped"),
        (TESTED,),
    ),
    "killed in the second of the finals": Told(
        "stopped",
        killed_in_the_final(4),
        (RESUME, TESTED, "true_fitness", "Final training of random 1: interrupted when the run was stopped"),
    ),
    "all finals failed": Told(
        "ended",
        failed_finals(0, 1, 2),
        ("final training of best failed: out of memory", "Repeat the failed trainings with nas resume"),
        (TESTED,),
    ),
    "one final failed": Told(
        "ended", failed_finals(1), (TESTED, "final training of random 1 failed: out of memory"), ("of best failed",)
    ),
}


def shown(folder: Path, call: Call) -> str:
    answer = call("show", folder)
    assert answer.returncode == 0, answer.stderr
    return str(answer.stdout)


def watched(folder: Path, call: Call) -> str:
    printed = StringIO()
    watch_run(folder, Console(file=printed, width=200))
    return printed.getvalue()


every_state = pytest.mark.parametrize("name", STATES)


@every_state
@pytest.mark.parametrize("reader", [shown, watched])
def test_show_says_how_a_search_stands(name: str, reader: Callable[[Path, Call], str], run: Path, call: Call) -> None:
    told = STATES[name]
    told.leave(run)
    text = reader(run, call)
    assert [each for each in told.said if each not in text] == []
    assert [each for each in told.unsaid if each in text] == []


@every_state
def test_the_report_says_how_a_search_stands(name: str, run: Path) -> None:
    told = STATES[name]
    told.leave(run)
    summary = summarise(run)
    assert summary.head.state == told.state
    has_scores = summary.finals is not None and bool(summary.finals.scores)
    assert has_scores == (TESTED in told.said)


@every_state
def test_a_search_that_somebody_works_on_is_running_whatever_it_was_before(name: str, run: Path, call: Call) -> None:
    STATES[name].leave(run)
    with held(run):
        text = shown(run, call)
        assert summarise(run).head.state == "running"
    assert "running, " in text
    assert RESUME not in text
    assert "interrupted" not in text


def test_two_processes_do_not_work_on_one_run(run: Path, call: Call) -> None:
    with held(run):
        answer = call("resume", run)
    assert answer.returncode == 2
    assert f"{run.resolve()} is being written by another process: wait for that run, or stop it" in answer.stderr


def test_a_journal_without_its_experiment_is_named(run: Path, call: Call) -> None:
    without("experiment.yaml")(run)
    for command in ("show", "report"):
        answer = call(command, run)
        assert answer.returncode == 2
        assert "experiment.yaml" in answer.stderr
        assert "Traceback" not in answer.stderr


def test_where_files_have_no_locks_it_is_said_that_age_decides(
    run: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    assert "ended, 60 of 60 evaluations" in shown(run, call)
    killed_while_searching(run)
    text = shown(run, call)
    assert "This system has no file locks, so only the time of the last write, " in text
    assert "tells whether a process works on it. If it was stopped, continue with nas resume" in text
    assert "running" not in text
    assert summarise(run).head.state == "unknown"


# Real processes


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a program in a process of its own; it is gone when the test ends."""
    with ExitStack() as started:

        def start(*arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, *arguments]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            started.callback(process.wait)
            started.callback(process.kill)
            return process

        yield start


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["not begun", "killed between search and final", "killed while searching"])
def test_a_run_is_stopped_at_once_when_its_process_is_killed(
    name: str, how: signal.Signals, run: Path, worker: Callable[..., subprocess.Popen[str]]
) -> None:
    STATES[name].leave(run)
    code = (
        "import sys, time; from pathlib import Path; from nas.lock import held\n"
        "with held(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    writer = worker("-c", code, str(run))
    assert writer.stdout is not None
    writer.stdout.readline()
    assert summarise(run).head.state == "running"
    writer.send_signal(how)
    writer.wait()
    assert summarise(run).head.state == "stopped"


@pytest.mark.slow
def test_a_search_that_is_killed_in_its_supernet_is_stopped_at_once(
    tmp_path: Path, call: Call, worker: Callable[..., subprocess.Popen[str]]
) -> None:
    folder = tmp_path / "run"
    (tmp_path / "darts.yaml").write_text(SUPERNET, encoding="utf-8")
    search = worker("-m", "nas.cli", "search", str(tmp_path / "darts.yaml"), "--run-dir", str(folder))
    deadline = time.monotonic() + 120
    while not (folder / "supernets" / "0.json").is_file():
        assert time.monotonic() < deadline
        assert search.poll() is None, search.communicate()[0]
        time.sleep(0.05)
    during = shown(folder, call)
    search.kill()
    search.wait()
    after = shown(folder, call)
    assert "Search with a supernet, seed 0: under way" in during
    assert "running, nothing was evaluated yet" in during
    assert "Search with a supernet, seed 0: interrupted when the run was stopped" in after
    assert f"Stopped before its end: {RESUME} {folder}" in after
    assert "running" not in after


# The supernet phase, trainings and transfers


@pytest.fixture
def supernet(tmp_path: Path) -> Path:
    """Return a run whose first phase, the search with a supernet, was begun."""
    folder = tmp_path / "run"
    (tmp_path / "darts.yaml").write_text(SUPERNET, encoding="utf-8")
    create_folder(folder, plan(experiments.load(tmp_path / "darts.yaml")))
    return folder


def begun(number: int, thing: Any, origin: str) -> dict[str, Any]:
    name = {"event": "start", "number": number, "digest": digest(thing), "origin": origin}
    return {**name, "parents": [], "architecture": to_plain(thing), "at": 1000.0 + number}


def journal(path: Path, *lines: Mapping[str, Any]) -> None:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in ({"cellstack": 1}, *lines)), encoding="utf-8")


def failure(number: int) -> dict[str, Any]:
    return {"event": "finish", "number": number, "failure": "out of memory", "worker": "a", "at": 1010.0}


def scored(number: int) -> dict[str, Any]:
    scores = {"test_top1_percent": 50.0, "seconds": 1.0}
    return {"event": "finish", "number": number, "scores": scores, "worker": "a", "at": 1010.0}


def test_the_seeds_of_a_supernet_are_told(supernet: Path, call: Call) -> None:
    seeds = [begun(i, Seed(i), f"seed {i}") for i in range(2)]
    journal(supernet / "supernets.jsonl", *seeds, failure(0))
    with held(supernet):
        during = shown(supernet, call)
    after = shown(supernet, call)
    for text in (during, after):
        assert "supernet, seed 0 failed: out of memory" in text
    assert "Search with a supernet, seed 1: under way" in during
    assert "Search with a supernet, seed 1: interrupted when the run was stopped" in after
    assert "running" not in after


@pytest.fixture
def small() -> StackedNetwork:
    options = {"channels": 2, "cells_per_stage": 1}
    return StackedNetwork("nasbench201", family("nasbench201").published["all_conv_3x3"], options, (1, 8, 8))


@pytest.fixture
def training(tmp_path: Path, small: StackedNetwork) -> Path:
    folder = tmp_path / "training"
    make_folder(folder)
    write_declared(folder / "training.yaml", FullTraining(Digits()), provenance())
    (folder / "best.json").write_text(write(small), encoding="utf-8")
    return folder


@pytest.mark.parametrize("epochs", [0, 2])
@pytest.mark.parametrize("lines", ["none", "begun", "failed"])
def test_a_training_says_how_it_stands(
    epochs: int, lines: str, training: Path, small: StackedNetwork, call: Call
) -> None:
    for number in range(1, epochs + 1):
        append_epoch(training / "best.safetensors", Epoch(number, 3, 0.5, 50.0, None, 2.0, 100.0, 0.1))
    start = begun(0, small.architecture, "given")
    events = {"none": [], "begun": [start], "failed": [start, failure(0)]}[lines]
    if events:
        journal(training / "training.jsonl", *events)
    with held(training):
        during = shown(training, call)
        assert summarise(training).head.state == "running"
    after = shown(training, call)
    assert "Running" in during
    assert RESUME not in during
    assert f"Stopped before its end: {RESUME} {training}" in after
    assert ("training failed: out of memory" in after) == (lines == "failed")
    assert summarise(training).head.state == "stopped"


@pytest.mark.parametrize(("done", "state"), [(-1, "stopped"), (0, "stopped"), (1, "stopped"), (2, "ended")])
def test_a_transfer_says_how_it_stands(
    done: int, state: str, tmp_path: Path, small: StackedNetwork, call: Call
) -> None:
    folder = tmp_path / "transfer"
    make_folder(folder)
    declared = Transfer(Digits(), ways=("linear_probe", "scratch"), labels_percent=(100.0,))
    write_declared(folder / "transfer.yaml", declared, provenance())
    (folder / "executor.json").write_text(write(Inline()), encoding="utf-8")
    (folder / "trained.json").write_text(write(small), encoding="utf-8")
    save_file({}, folder / "trained.safetensors")
    trials = declared.trials()
    if done >= 0:
        starts = [begun(i, trial, trial.name) for i, trial in enumerate(trials)]
        journal(folder / "trials.jsonl", *starts, *(scored(i) for i in range(done)))
    with held(folder):
        during = shown(folder, call)
    after = shown(folder, call)
    assert "Running" in during
    assert (RESUME in after) == (state == "stopped")
    assert (f"{max(0, done)} of 2 trials are done" in after) == (state == "stopped")
    assert ("Test accuracy" in after) == (done > 0)
    assert summarise(folder).head.state == state


def test_a_run_that_was_removed_while_it_is_watched_is_named(run: Path) -> None:
    rmtree(run)
    with pytest.raises(RecordError, match="is no run folder"):
        watch_run(run, Console(file=StringIO()))


def on_screen(printed: str, rows: int, columns: int) -> list[str]:
    """Return the lines that a terminal holds, with those that it has scrolled away, once all is printed."""
    lines, row, column = [""], 0, 0

    def go_down() -> None:
        nonlocal row
        row += 1
        lines.extend([""] * (row == len(lines)))

    for part in re.findall(r"\x1b\[[\d;?]*[a-zA-Z]|[^\x1b]", printed):
        if part == "\n":
            go_down()
            column = 0
        elif part == "\r":
            column = 0
        elif part == "\x1b[2K":
            lines[row] = ""
        elif up := re.fullmatch(r"\x1b\[(\d+)A", part):
            row = max(0, len(lines) - rows, row - int(up[1]))
        elif not part.startswith("\x1b"):
            if column == columns:
                go_down()
                column = 0
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + 1 :]
            column += 1
    return lines


@pytest.mark.parametrize("height", [8, 60])
@pytest.mark.parametrize("width", [40, 200])
@pytest.mark.parametrize("ends_by", ["its end", "Ctrl-C"])
def test_the_last_frame_of_a_watched_run_stays_once_and_whole(
    run: Path, height: int, width: int, ends_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show_run, "SECONDS_BETWEEN_LOOKS", 0.02)
    killed_while_searching(run)
    printed, opened = StringIO(), ExitStack()
    opened.enter_context(held(run))

    def end() -> None:
        if ends_by == "its end":
            opened.close()
        else:
            printed.write("^C")  # as a terminal shows it
            os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, end)
    timer.start()
    watch_run(run, Console(file=printed, width=width, height=height, force_terminal=True))
    timer.join()
    opened.close()
    lines = on_screen(printed.getvalue(), height, width)
    assert sum("Best of the search" in line for line in lines) == 1
    assert sum(" 0 failed" in line for line in lines) == 1
    assert any("running" in line for line in lines) == (ends_by == "Ctrl-C")
