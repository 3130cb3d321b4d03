"""Real processes get real signals, several times: each command ends in one way, says how to go on, and leaves nobody behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}

EPOCHS = 500
"""More than are trained before the signal."""


@dataclass
class Command:
    """A command in a session of its own, and what it has printed."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def printed(self) -> str:
        """All lines so far."""
        return "".join(self.lines)

    def wait_for(self, is_there: Callable[[], object]) -> None:
        """Wait until something is there, while the command goes on."""
        deadline = time.monotonic() + 200
        while not is_there():
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.05)

    def stop(self, number: int, times: int = 3, all_processes: bool = False) -> int:
        """Send a signal several times, to the command or as a terminal does to all its processes; return the exit code."""
        for _ in range(times):
            if self.process.poll() is None:
                (os.killpg if all_processes else os.kill)(self.process.pid, number)
            time.sleep(0.1)
        code = self.process.wait(120)
        self.reader.join(60)
        return code

    def left(self) -> list[str]:
        """Return the processes that are left of its session, after a moment in which they may end."""
        deadline = time.monotonic() + 30
        while (found := self._left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def _left(self) -> list[str]:
        return [each.name for each in Path("/proc").glob("[0-9]*") if _session(each) == self.process.pid]


def _session(folder: Path) -> int | None:
    """Return the session of a process that lives."""
    try:
        state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else int(session)


Start = Callable[..., Command]


def heed_hang_ups() -> None:
    """Undo what nohup does, under which the tests may run."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a command in the test's folder."""
    started: list[Command] = []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def begin(*words: object) -> Command:
        process = subprocess.Popen(
            [sys.executable, "-m", "nas", *map(str, words)],
            cwd=tmp_path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=heed_hang_ups,
        )
        started.append(Command(process))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)


RECIPE = {
    "epochs": EPOCHS,
    "batch": 32,
    "lr": 0.1,
    "augmentation": {"crop_pad": 1, "flip": False, "cutout": 0},
    "drop_path": 0.0,
}
SMALL = {"data": "Digits", "images": 200}
SEARCH: dict[str, Any] = {
    "space": "nasbench201",
    "network": {"channels": 4, "cells_per_stage": 1},
    "strategy": {"RegularizedEvolution": {"population": 3, "sample": 2}},
    "evaluator": {"Training": {**SMALL, "validation": 100, "recipe": RECIPE, "execution": {"checkpoint_seconds": 0}}},
    "rules": {"budget": {"evaluations": 4}},
}
SUPERNET = {
    "space": "nasbench201",
    "network": SEARCH["network"],
    "supernet": {"method": "Darts", **SMALL, "epochs": EPOCHS, "weights": {"batch": 32}, "alphas": {"images": 100}},
}
TRAINING = {**SMALL, "network": SEARCH["network"], "recipe": RECIPE, "execution": {"checkpoint_seconds": 0}}
REPRODUCED = {
    **SUPERNET,
    "final": {"evaluator": SEARCH["evaluator"]},
    "expect": {"test_top1_percent": {"mean": 50, "tolerance": 50}},
}
FILES = {"search": SEARCH, "supernet": SUPERNET, "training": TRAINING, "reproduced": REPRODUCED}

COMMANDS = {
    "search": ("search", "search.yaml", "--run-dir", "run"),
    "supernet": ("search", "supernet.yaml", "--run-dir", "run"),
    "training": ("train", "nasbench201:resnet", "--recipe", "training.yaml", "--run-dir", "run"),
    "reproduced": ("reproduce", "reproduced.yaml", "--run-dir", "run"),
}
BY_RAY = ("--workers", "2")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Write the experiments; return their folder."""
    for name, plain in FILES.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(plain))
    return tmp_path


def has_begun(folder: Path) -> bool:
    """Whether a run has trained something: a checkpoint, an epoch or a supernet is there."""
    found = [*folder.glob("checkpoints/*"), *folder.glob("**/*.epochs.jsonl"), *folder.glob("**/supernets/*")]
    return any(path.is_file() for path in found)


CASES = [
    pytest.param("search", (), signal.SIGINT, False, id="search-ctrl-c"),
    pytest.param("search", (), signal.SIGTERM, False, id="search-terminated", marks=pytest.mark.slow),
    pytest.param("search", (), signal.SIGHUP, True, id="search-terminal-closed", marks=pytest.mark.slow),
    pytest.param("search", BY_RAY, signal.SIGINT, True, id="search-ray-ctrl-c", marks=pytest.mark.slow),
    pytest.param("search", BY_RAY, signal.SIGTERM, False, id="search-ray-terminated", marks=pytest.mark.slow),
    pytest.param("search", BY_RAY, signal.SIGTERM, True, id="search-ray-all-terminated", marks=pytest.mark.slow),
    pytest.param("search", BY_RAY, signal.SIGHUP, True, id="search-ray-terminal-closed", marks=pytest.mark.slow),
    pytest.param("supernet", (), signal.SIGTERM, False, id="supernet-terminated", marks=pytest.mark.slow),
    pytest.param("supernet", BY_RAY, signal.SIGINT, True, id="supernet-ray-ctrl-c", marks=pytest.mark.slow),
    pytest.param("training", (), signal.SIGTERM, True, id="training-terminated", marks=pytest.mark.slow),
    pytest.param("training", BY_RAY, signal.SIGINT, True, id="training-together-ctrl-c", marks=pytest.mark.slow),
    pytest.param("training", BY_RAY, signal.SIGTERM, False, id="training-together-terminated", marks=pytest.mark.slow),
    pytest.param("reproduced", (), signal.SIGTERM, False, id="reproduced-terminated", marks=pytest.mark.slow),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options", "number", "to_all"), CASES)
def test_a_signal_that_comes_three_times_ends_a_command_as_one_does(
    kind: str, options: tuple[str, ...], number: int, to_all: bool, start: Start, files: Path
) -> None:
    command = start(*COMMANDS[kind], *options)
    command.wait_for(lambda: has_begun(files / "run"))
    assert command.stop(number, all_processes=to_all) == CODES[signal.Signals(number)], command.printed
    repair = (
        "What has ended is kept: the same command does the rest"
        if kind == "reproduced"
        else "Continue with: nas resume run"
    )
    assert command.lines[-1] == f"Stopped. {repair}\n", command.printed
    for word in ("Traceback", "Error", "PC: @", "SIGTERM received"):
        assert word not in command.printed
    assert not command.left()


def test_a_signal_before_a_run_begins_leaves_no_traceback(start: Start, files: Path) -> None:
    command = start("search", "search.yaml", "--run-dir", "run")
    time.sleep(1)
    assert command.stop(signal.SIGTERM, times=2) in (143, -signal.SIGTERM)  # the second before Python has read our code
    assert "Traceback" not in command.printed


def test_a_signal_while_a_dataclass_is_made_keeps_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "stopped.py").write_text(
        "import os, signal, sys\n"
        "from nas.runtime.stopping import listen\n"
        "stop = listen()\n"
        "try:\n"
        "    exec('os.kill(os.getpid(), signal.SIGTERM)')\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(stop.exit_code)\n"
    )
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = subprocess.run([sys.executable, "-m", "stopped"], env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 143


def test_a_signal_while_a_library_is_imported_ends_the_command_at_once(tmp_path: Path) -> None:
    (tmp_path / "library.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "finally:\n"
        "    print('an exception went through the import')\n"
    )
    code = "from nas.runtime.stopping import listen; listen(); import library"
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, b"", b"")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_looking_at_a_run_ends_on_a_signal(number: int, code: int, start: Start, files: Path) -> None:
    search = start("search", "search.yaml", "--run-dir", "run")
    search.wait_for(lambda: has_begun(files / "run"))
    watch, page = start("show", "run", "--watch"), start("dashboard", "run", "--port", "0")
    page.wait_for(lambda: page.lines)
    time.sleep(5)  # into a pipe the watch prints its last look alone
    for command in (watch, page):
        assert command.stop(number) == code, command.printed
        assert "Traceback" not in command.printed
    assert search.stop(signal.SIGINT) == 130


def test_a_signal_that_nohup_ignores_stays_ignored() -> None:
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from nas.runtime.stopping import listen\n"
        "listen(); print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, signal.getsignal(signal.SIGTERM))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.startswith("True <nas.runtime.stopping.Stop")
