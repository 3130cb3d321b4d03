"""Fixtures that several tests share: the real data, and the command line in a process of its own or in this one."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as processors: threads of each would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # so it is where a script runs this in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

from nas.records import classes

gc.disable()  # until the tests begin: searching what is imported and collected, which stays, takes a fifth of the time of all

ROOT = Path(__file__).resolve().parents[1]

WIDE = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
"""So that a sentence in the output is one line, whatever the terminal."""


LONGEST = (
    "test_spaces_conformance test_docs test_networks_by_hand test_together test_supernet_search test_weights_travel "
    "test_supernet_paths test_train_command test_run_data test_cli test_strategies test_proxies test_controllers test_morphisms "
    "test_predictors test_architectures test_seeds"
).split()
"""The files whose tests take longest together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: a worker takes whole files, whose tests share fixtures, and none should be left last."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_collection_finish() -> None:
    """Let the garbage collector look at what the tests make alone."""
    gc.freeze()
    gc.enable()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data: NAS_SHARED_DATA, or ../shared/data. Skips the test where it is absent."""
    folder = Path(os.environ.get("NAS_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "nasbench201.npz").is_file():
        pytest.skip(f"{folder} has no nasbench201.npz: set NAS_SHARED_DATA to the folder of real data")
    return folder.resolve()


@pytest.fixture(scope="session")
def nas() -> Callable[..., Answer]:
    """Return a function that runs the command line in a process of its own: `nas("list", env={...}, cwd=...)`."""

    def run(*arguments: Any, env: dict[str, str] | None = None, cwd: Path = ROOT) -> Answer:
        inherited = {name: value for name, value in os.environ.items() if name != "NAS_DATA"}
        done = subprocess.run(
            [sys.executable, "-m", "nas.cli", *map(str, arguments)],
            env={**inherited, **WIDE, **(env or {})},
            cwd=cwd,
            capture_output=True,
            encoding="utf-8",
            timeout=240,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Return a function that runs the command line in this process, which saves the seconds of importing torch."""
    from nas import cli
    from nas.runtime.stopping import SIGNALS

    handlers = {each: signal.getsignal(each) for each in SIGNALS}
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("NAS_DATA", raising=False)
    for name, value in WIDE.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: Any) -> Answer:
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:  # the process goes on, unlike that of a user
            for each, handler in handlers.items():
                signal.signal(each, handler)
        printed = capsys.readouterr()
        return Answer(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Return where a run folder may be made."""
    return tmp_path / "run"


TOY = """\
# A search of 12 evaluations on strings of bits, done in a moment.
space: bits
strategy:
  RegularizedEvolution: {population: 4, sample: 2}
evaluator:
  NoisyBits: {noise: 0.01}
rules:
  budget: {evaluations: 12}
  objective: fitness
"""


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small experiment: `toy(("bits", "bitz"))` with a part of its text exchanged."""

    def write(*changes: tuple[str, str], more: str = "") -> Path:
        text = TOY
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "experiment.yaml"
        path.write_text(text + more, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: the tensors are small, and the other processors have work of their own."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def own_records() -> Iterator[None]:
    """Forget the records that a test declares, so that tests of all records do not meet them."""
    before = set(classes)
    yield
    for name in set(classes) - before:
        module = classes[name].__module__
        if module.startswith("nas.own.") or not module.startswith(("nas.", "search_spaces.")):
            del classes[name]
