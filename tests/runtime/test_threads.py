"""How many threads torch takes: what is free when a run begins, and the same number when it goes on."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nas.data.processors import bound_to, processors, quota
from nas.evaluation.evaluator import Evaluation, Job
from nas.runs.run import load_run
from nas.runtime import threads
from nas.runtime.inline import Inline
from nas.runtime.queue import Queue
from nas.runtime.ray_train import RayTrain
from nas.runtime.ray_tune import RayTune
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.runtime.threads import free_threads, threads_of_worker
from nas.strategies.fixed_proposals import FixedProposals

Call = Callable[..., Any]


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in threads.GIVEN_BY:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def many_threads() -> Iterator[int]:
    """Let torch's own number be that of the processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(2, processors()))
    yield torch.get_num_threads()
    torch.set_num_threads(before)


def processor_times(busy: int, of: int, ticks: int) -> str:
    """Write what Linux says of processors after so many ticks, of which some worked all the time."""
    rows = [f"cpu{i} {ticks} 0 0 0 0 0 0 0 0 0" if i < busy else f"cpu{i} 0 0 0 {ticks} 0 0 0 0 0 0" for i in range(of)]
    return "\n".join(["cpu  1 2 3 4 5 6 7 8 0 0", *rows, "intr 1 2 3", ""])


@pytest.mark.parametrize(("busy", "free"), [(0, 8), (1, 7), (3, 5), (8, 1)])
def test_a_command_takes_the_processors_that_others_leave(
    busy: int, free: int, no_variables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = tmp_path / "stat"
    times.write_text(processor_times(busy, 8, 100))
    monkeypatch.setattr(threads, "TIMES", times)
    monkeypatch.setattr(threads, "bound_to", lambda: set(range(8)))
    monkeypatch.setattr(threads, "processors", lambda: 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(threads.time, "sleep", lambda seconds: times.write_text(processor_times(busy, 8, 120)))
    assert free_threads() == free


def test_a_command_beside_one_that_takes_every_processor_takes_one_thread(
    no_variables: None, many_threads: int
) -> None:
    burn = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in bound_to()]
    try:
        assert free_threads() <= max(1, many_threads - 1)
    finally:
        for each in burn:
            each.kill()
            each.wait()


@pytest.mark.parametrize("name", threads.GIVEN_BY)
def test_what_the_user_says_is_taken(name: str, monkeypatch: pytest.MonkeyPatch, many_threads: int) -> None:
    monkeypatch.setenv(name, str(many_threads))
    assert free_threads() == threads_of_worker(1, 2, is_here=True) == many_threads


@pytest.mark.parametrize(
    ("each", "workers", "is_here", "expected"),
    [
        (1, 2, True, 1),
        (4, 2, True, 2),
        (2, 3, True, 1),
        (8, 2, False, 8),
        (0, 2, False, 1),
        (0.5, 4, True, 1),
        (4, 1, True, 4),
    ],
)
def test_workers_of_one_machine_share_its_processors(
    each: float, workers: int, is_here: bool, expected: int, no_variables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "processors", lambda: 4)
    assert threads_of_worker(each, workers, is_here) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"inner/cpu.max": "max 100000", "cpu.max": "50000 100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
        ({}, math.inf),
    ],
)
def test_the_quota_of_a_container_counts(files: dict[str, str], expected: float, tmp_path: Path) -> None:
    (tmp_path / "self").write_text("3:cpu,cpuacct:/\n0::/inner\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota(tmp_path, tmp_path / "self") == expected
    assert 1 <= processors() <= len(bound_to())


def threads_of_torch(job: Job) -> Evaluation:
    yield from ()
    return {"threads": torch.get_num_threads()}


STAGE = RunStage("training", FixedProposals(((1, "given"),)), threads_of_torch, Rules(Budget(1), "threads"), str)


@pytest.mark.parametrize("number", [1, 3])
def test_a_job_has_the_threads_of_its_executor(number: int) -> None:
    search = Queue(STAGE)
    before = torch.get_num_threads()
    Inline(threads=number).run(search, threads_of_torch, None)
    assert search.history.finished[0].scores == {"threads": number}
    assert torch.get_num_threads() == before


@pytest.mark.slow
@pytest.mark.parametrize("executor", [RayTune(workers=1, threads=3), RayTrain(workers=1, threads=3)])
def test_a_job_of_ray_has_the_threads_of_its_executor(executor: RayTune | RayTrain, tmp_path: Path) -> None:
    search = Queue(STAGE)
    executor.run(search, threads_of_torch, tmp_path)
    assert search.history.finished[0].scores == {"threads": 3}


def test_a_run_says_how_many_threads_it_has_and_keeps_them(
    toy: Callable[..., Path], call: Call, run_folder: Path, monkeypatch: pytest.MonkeyPatch, many_threads: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(many_threads))
    answer = call("search", toy(), "--run-dir", run_folder)
    assert f"Executor: 1 worker, {many_threads} threads" in answer.stdout.splitlines()
    written = yaml.safe_load((run_folder / "experiment.yaml").read_text("utf-8"))
    assert written["executor"] == {"Inline": {"threads": many_threads}}
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    answer = call("resume", run_folder, "rules.budget.evaluations=20")
    assert f"Executor: 1 worker, {many_threads} threads" in answer.stdout.splitlines()
    assert load_run(run_folder).executor == Inline(threads=many_threads)


def test_a_run_of_an_earlier_version_is_read(toy: Callable[..., Path], call: Call, run_folder: Path) -> None:
    call("search", toy(), "--run-dir", run_folder)
    file = run_folder / "experiment.yaml"
    plain = yaml.safe_load(file.read_text("utf-8"))
    file.write_text(yaml.safe_dump({**plain, "executor": {"Inline": {}}}), encoding="utf-8")
    assert load_run(run_folder).executor == Inline()
    assert call("resume", run_folder, "rules.budget.evaluations=20").returncode == 0
