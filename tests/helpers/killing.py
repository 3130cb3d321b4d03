"""The command line in a process of its own, which is killed while it works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def nas(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "nas.cli", *map(str, arguments)], cwd=ROOT, stdout=subprocess.DEVNULL
    )


def killed_after(finished: int, folder: Path, *arguments: object) -> None:
    """Run a command, and kill it when so many evaluations have ended, somewhere in the next one."""
    with nas(*arguments) as process:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it was killed"
            journal = folder / "history.jsonl"
            if journal.is_file() and journal.read_bytes().count(b'"event": "finish"') >= finished:
                os.kill(process.pid, signal.SIGKILL)
                return
            time.sleep(0.01)
    raise AssertionError(f"{finished} evaluations have not ended in 200 s")


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
