"""The command line in a process of its own, which is killed while it works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]


def nas(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "nas.cli", *map(str, arguments)], cwd=ROOT, stdout=subprocess.DEVNULL
    )


def killed_when(reached: Callable[[], bool], *arguments: object) -> None:
    """Run a command, and kill it as soon as `reached` says so."""
    with nas(*arguments) as process:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it was killed"
            if reached():
                os.kill(process.pid, signal.SIGKILL)
                return
            time.sleep(0.01)
        process.kill()
    raise AssertionError("it was not so far in 200 s")


def killed_after(finished: int, folder: Path, *arguments: object) -> None:
    """Run a command, and kill it when so many evaluations have ended, somewhere in the next one."""
    journal = folder / "history.jsonl"
    killed_when(lambda: journal.is_file() and journal.read_bytes().count(b'"event": "finish"') >= finished, *arguments)


def supernet_searched_whole_and_killed(file: Path, folder: Path, epochs: int) -> tuple[Path, Path]:
    """Search a supernet in one go, and again with a kill after some epochs and a resume; return both run folders."""
    whole, cut = folder / "whole", folder / "cut"
    so_far = cut / "supernets" / "0.json"
    killed_when(
        lambda: so_far.is_file() and so_far.read_text().count('"epoch"') >= epochs, "search", file, "--run-dir", cut
    )
    for command in (("resume", cut), ("search", file, "--run-dir", whole)):
        with nas(*command) as process:
            assert process.wait(timeout=300) == 0
    return whole, cut


def same_tensors(one: Path, other: Path) -> bool:
    """Whether two files of weights hold the same tensors, bit for bit."""
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(each, second[name]) for name, each in first.items())


def searched_whole_and_killed_twice(file: Path, folder: Path) -> tuple[Path, Path]:
    """Search with a file in one go, and again with two kills and resumes; return both run folders."""
    whole, cut = folder / "whole", folder / "cut"
    with nas("search", file, "--executor", "inline", "--run-dir", whole) as process:
        assert process.wait(timeout=300) == 0
    killed_after(8, cut, "search", file, "--executor", "inline", "--run-dir", cut)
    killed_after(16, cut, "resume", cut)
    with nas("resume", cut) as process:
        assert process.wait(timeout=300) == 0
    return whole, cut
