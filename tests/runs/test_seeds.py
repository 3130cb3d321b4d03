"""Seeds of a reproduction: run by any number of processes, kept as they end, and taken up again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nas.data.digits import Digits
from nas.evaluation.noisy_bits import NoisyBits
from nas.evaluation.repeats import Repeats
from nas.evaluation.table_file import load_table
from nas.evaluation.training import Training
from nas.journal import replay
from nas.records import RecordError
from nas.runs.experiment import load
from nas.runs.reproduce import prepared, reproduce
from nas.runs.run import create_folder, plan, run
from nas.runs.seed_journal import DECLARED, SEEDS, kept
from nas.runs.seeds import Anytime, anytime, is_free, make_test, run_seed, scores_at, seconds_by_scores
from nas.runtime.queue import SearchFailed
from nas.runtime.view import Silent

ROOT = Path(__file__).resolve().parents[2]
EXPECT = "expect: {highest_fitness: {mean: 0.6, tolerance: 1}}\n"

Toy = Callable[..., Path]
Call = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / SEEDS).read_text().splitlines()]


def counted(folder: Path) -> list[int]:
    return [line["seed"] for line in lines(folder) if line.get("event") == "seed"]


def again(path: Path, folder: Path, seeds: int, workers: int | None = 1) -> list[int]:
    """Run a reproduction; return the number of seeds after each."""
    ended: list[int] = []
    reproduce(load(path), seeds, ended.append, folder, workers)
    return ended


@pytest.mark.slow
def test_the_results_do_not_depend_on_the_number_of_processes(toy: Toy, tmp_path: Path) -> None:
    path = toy(more=EXPECT)
    found = {}
    for workers in (1, 3):
        reproduce(load(path), 7, lambda ended: None, tmp_path / str(workers), workers)
        found[workers] = kept(tmp_path / str(workers))
    assert found[1] == found[3]
    assert list(found[3]) == list(range(7))
    (in_memory,) = reproduce(load(path), 7, lambda ended: None)
    (by_three,) = reproduce(load(path), 7, lambda ended: None, tmp_path / "3")
    assert in_memory == by_three


def test_seeds_that_have_ended_are_not_run_again(toy: Toy, folder: Path) -> None:
    path = toy(more=EXPECT)
    assert again(path, folder, 2) == [1, 2]
    before = (folder / SEEDS).read_bytes()
    assert again(path, folder, 2) == [1, 2]
    assert (folder / SEEDS).read_bytes() == before
    again(path, folder, 5)
    assert counted(folder) == [0, 1, 2, 3, 4]
    assert (folder / SEEDS).read_bytes().startswith(before)


def test_fewer_seeds_than_are_kept_are_those_that_were_asked_for(toy: Toy, folder: Path) -> None:
    path = toy(more=EXPECT)
    again(path, folder, 5)
    (compared,) = reproduce(load(path), 3, lambda ended: None, folder)
    assert compared == reproduce(load(path), 3, lambda ended: None)[0]
    assert compared.seeds == 3


def test_a_line_that_was_cut_off_is_run_again(toy: Toy, folder: Path) -> None:
    path = toy(more=EXPECT)
    again(path, folder, 3)
    whole = (folder / SEEDS).read_bytes()
    (folder / SEEDS).write_bytes(whole[:-20])
    again(path, folder, 3)
    assert (folder / SEEDS).read_bytes() == whole


def test_what_is_expected_may_change_in_between(toy: Toy, folder: Path) -> None:
    again(toy(more=EXPECT), folder, 2)
    path = toy(more=EXPECT.replace("tolerance: 1", "tolerance: 0"))
    assert not reproduce(load(path), 2, lambda ended: None, folder)[0].holds
    assert counted(folder) == [0, 1]


@pytest.mark.parametrize(("key", "value"), [("sample: 2", "sample: 3"), ("noise: 0.01", "noise: 0.02")])
def test_other_settings_are_refused_in_one_line(key: str, value: str, toy: Toy, folder: Path, call: Call) -> None:
    assert call("reproduce", toy(more=EXPECT), "--run-dir", folder).returncode == 0
    answer = call("reproduce", toy((key, value), more=EXPECT), "--run-dir", folder)
    assert answer.returncode == 2
    assert answer.stderr == f"nas: {folder} has seeds with other settings: give another --run-dir, or remove it\n"
    assert counted(folder) == [0]


def test_the_users_own_code_may_not_change_in_between(toy: Toy, folder: Path, own_records: None) -> None:
    own = folder.parent / "counting_ones.py"
    text = (
        "from nas.evaluation.evaluator import Evaluator, at_once\n"
        "from nas.records import record\n\n"
        "@record\n"
        "class CountingOnes(Evaluator):\n"
        "    def evaluate(self, task, job):\n"
        "        return at_once({'fitness': sum(job.architecture.values) + job.seed % 7})\n"
        "    def test(self, task, job, *weights):\n"
        "        return self.evaluate(task, job)\n"
    )
    own.write_text(text)
    path = toy(("NoisyBits: {noise: 0.01}", "CountingOnes"), more=f"{EXPECT}imports: [{own}]\n")
    again(path, folder, 3, workers=2)
    assert sorted(counted(folder)) == [0, 1, 2], "other processes import the module by its path"
    own.write_text(f"{text}# changed\n")
    with pytest.raises(
        RecordError, match=r"counting_ones\.py as it was before its last change: give another --run-dir"
    ):
        again(path, folder, 4)


def test_other_data_are_refused(shared_data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(shared_data))
    small = ["rules.budget={evaluations: 5}"]
    experiment = load("nasbench201/random_search", small)
    reproduce(experiment, 1, lambda ended: None, folder)
    text = (folder / "data.json").read_text()
    (folder / "data.json").write_text(re.sub(r'("digest": ")\w{4}', r"\g<1>0000", text))
    with pytest.raises(RecordError, match=r"has seeds with other data \(.*\): give another --run-dir"):
        reproduce(experiment, 2, lambda ended: None, folder)


def test_a_folder_of_runs_is_no_folder_of_seeds(toy: Toy, folder: Path) -> None:
    path = toy(more=EXPECT)
    create_folder(folder, plan(load(path)))
    with pytest.raises(RecordError, match="has runs of another kind: give another --run-dir"):
        again(path, folder, 2)


def test_a_damaged_line_is_named(toy: Toy, folder: Path, call: Call) -> None:
    path = toy(more=EXPECT)
    again(path, folder, 2)
    text = (folder / SEEDS).read_text().splitlines()
    text[2] = text[2].replace('"scores"', '"score"')
    (folder / SEEDS).write_text("\n".join(text) + "\n")
    answer = call("reproduce", path, "--run-dir", folder)
    assert answer.returncode == 2
    assert f"{folder / SEEDS}, line 3: damaged ('scores' is missing): remove the line" in answer.stderr


def test_a_search_that_fails_in_another_process_ends_the_command(toy: Toy, folder: Path, own_records: None) -> None:
    own = folder.parent / "failing_late.py"
    own.write_text(
        "from nas.evaluation.evaluator import Evaluator, at_once\n"
        "from nas.records import record\n\n"
        "@record\n"
        "class FailingLate(Evaluator):\n"
        "    def evaluate(self, task, job):\n"
        "        if job.seed > 2_000_000:\n"
        "            raise ValueError('seed 2 is bad')\n"
        "        return at_once({'fitness': 1.0})\n"
        "    def test(self, task, job, *weights):\n"
        "        return self.evaluate(task, job)\n"
    )
    path = toy(("NoisyBits: {noise: 0.01}", "FailingLate"), more=f"{EXPECT}imports: [{own}]\n")
    with pytest.raises(SearchFailed, match="ValueError: seed 2 is bad"):
        again(path, folder, 3, workers=2)
    assert 0 in counted(folder)


TRAINED = """\
space: nasbench201
network: {channels: 2, cells_per_stage: 1}
strategy: RandomSearch
evaluator:
  Training:
    data: Digits
    validation: 100
    images: 100
    recipe: {epochs: 1, batch: 50, lr: 0.1, augmentation: {crop_pad: 1, flip: false, cutout: 0}, drop_path: 0.0}
rules: {budget: {evaluations: 1}}
expect: {test_top1_percent: {mean: 50, tolerance: 50}}
"""


@pytest.mark.slow
def test_trainings_keep_the_number_of_threads_that_they_began_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    path = folder.parent / "trained.yaml"
    path.write_text(TRAINED)
    for seeds in (1, 2):  # as many threads as there are free processors, which is not the same each time
        monkeypatch.setattr("nas.runtime.inline.free_threads", lambda seeds=seeds: seeds)
        again(path, folder, seeds)
    assert counted(folder) == [0, 1]
    assert "threads: 1" in (folder / DECLARED).read_text()
    path.write_text(TRAINED.replace("lr: 0.1", "lr: 0.2"))
    with pytest.raises(RecordError, match="seeds with other settings"):
        again(path, folder, 2)


def test_workers_are_for_searches_in_memory(toy: Toy, call: Call, tmp_path: Path) -> None:
    path = toy(more=f"{EXPECT}executor: RayTune\n")
    answer = call("reproduce", path, "--workers", "2", "--run-dir", tmp_path / "runs")
    assert answer.returncode == 2
    assert "--workers is for searches in memory" in answer.stderr


# ----------------------------------------------------------------------------------------------------- killed

SLOW = ("rules.budget={evaluations: 2000}", "rules.duplicates=evaluate")


@contextmanager
def command(path: Path, folder: Path, seeds: int) -> Iterator[subprocess.Popen[bytes]]:
    words = ["reproduce", str(path), *SLOW, "--seeds", str(seeds), "--workers", "2", "--run-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "nas", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        yield process


def session(number: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = each.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if state != "Z" and int(of) == number:
            found.append(int(each.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize(
    ("number", "to_all", "code"),
    [
        pytest.param(signal.SIGKILL, False, -9, id="killed"),
        pytest.param(signal.SIGINT, True, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, False, 143, id="terminated", marks=pytest.mark.slow),
    ],
)
def test_a_reproduction_that_is_killed_loses_nothing_and_leaves_no_process(
    number: int, to_all: bool, code: int, toy: Toy, folder: Path
) -> None:
    path, seeds = toy(more=EXPECT), 12
    with command(path, folder, seeds) as process:
        deadline = time.monotonic() + 120
        while not (folder / SEEDS).is_file() or len(counted_so_far(folder)) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (os.killpg if to_all else os.kill)(process.pid, number)
        printed = process.communicate(timeout=60)[0].decode()
        assert process.returncode == code, printed
        assert "Traceback" not in printed
        if number != signal.SIGKILL:
            assert printed.endswith("Stopped. What has ended is kept: the same command does the rest\n")
        deadline = time.monotonic() + 30
        while session(process.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not session(process.pid)
    before = (folder / SEEDS).read_bytes()
    some = counted_so_far(folder)
    assert 3 <= len(some) < seeds
    reproduced = reproduce(load(path, SLOW), seeds, lambda ended: None, folder, 2)
    assert (folder / SEEDS).read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert sorted(counted(folder)) == list(range(seeds)), "none is run twice"
    assert reproduced == reproduce(load(path, SLOW), seeds, lambda ended: None)


def counted_so_far(folder: Path) -> list[int]:
    whole = (folder / SEEDS).read_text().rpartition("\n")[0].splitlines()
    return [line["seed"] for line in map(json.loads, whole) if line.get("event") == "seed"]


# ----------------------------------------------------------------------------------------- the best so far


def test_a_seed_in_memory_is_the_run_of_a_folder(shared_data: Path, tmp_path: Path) -> None:
    changes = ["rules.budget={evaluations: 30}", f"evaluator.table={shared_data}/nasbench201.npz"]
    planned = prepared(load("nasbench201/regularized_evolution", changes))
    result = run_seed(planned, 0)
    create_folder(tmp_path / "run", planned)
    done = run(planned, tmp_path / "run", lambda stage: Silent())
    assert result.scores.items() >= done.finals["best"].scores.items()
    assert planned.final
    assert result.anytime == anytime(done.history, seconds_by_scores(done.history), make_test(*planned.final, 0))
    assert {name: scores[-1] for name, scores in result.anytime.tests.items()} == done.finals["best"].scores


def test_simulated_workers_take_the_time_of_their_clock(shared_data: Path) -> None:
    changes = ["rules.budget={evaluations: 40}", f"evaluator.table={shared_data}/nasbench201.npz"]
    one, eight = (
        run_seed(
            prepared(load("nasbench201/random_search", [*changes, f"executor={{Simulated: {{workers: {n}}}}}"])), 0
        )
        for n in (1, 8)
    )
    inline = run_seed(prepared(load("nasbench201/random_search", changes)), 0)
    assert one.scores == inline.scores
    assert one.anytime.evaluations == inline.anytime.evaluations
    assert one.anytime.seconds == pytest.approx(inline.anytime.seconds)
    assert eight.anytime.seconds is not None
    assert inline.anytime.seconds is not None
    assert inline.anytime.seconds[-1] / 8 < eight.anytime.seconds[-1] < inline.anytime.seconds[-1] / 4


def test_the_best_so_far_has_each_improvement_and_the_end(tmp_path: Path, toy: Toy) -> None:
    planned = plan(load(toy()))
    create_folder(tmp_path / "run", planned)
    history = run(planned, tmp_path / "run", lambda stage: Silent()).history
    curve = anytime(history, None)
    scores = [
        done.scores["fitness"] for done in replay(tmp_path / "run" / "history.jsonl", "fitness").finished.values()
    ]
    best = [max(scores[: place + 1]) for place in range(len(scores))]
    assert scores_at(curve, range(1, 13), by_seconds=False) == best
    assert curve.seconds is None
    assert curve.evaluations[-1] == 12


def test_the_score_at_a_budget_is_the_last_within_it() -> None:
    curve = Anytime([1, 4, 9], [10.0, 40.0, 90.0], [1.0, 2.0, 2.0])
    assert scores_at(curve, [0, 1, 3, 4, 100], by_seconds=False) == [None, 1.0, 1.0, 2.0, 2.0]
    assert scores_at(curve, [9.9, 40.0], by_seconds=True) == [None, 2.0]


def test_the_tests_of_the_best_so_far_are_those_of_the_table(shared_data: Path) -> None:
    changes = ["rules.budget={evaluations: 30}", f"evaluator.table={shared_data}/nasbench201.npz"]
    planned = prepared(load("nasbench201/random_search", changes))
    curve, table = run_seed(planned, 1).anytime, load_table(f"{shared_data}/nasbench201.npz")
    columns = zip(table.column("c10_valid12"), table.column("c100_test200"), strict=True)
    known = set(columns)  # some cells have the same validation accuracy
    tested = curve.tests["cifar100_test_top1_percent"]
    assert all(each in known for each in zip(curve.best, tested, strict=True))
    assert scores_at(curve, [30], by_seconds=False, test="cifar100_test_top1_percent") == [tested[-1]]


def test_what_costs_a_training_is_not_tested_over_the_search(toy: Toy) -> None:
    assert run_seed(plan(load(toy())), 0).anytime.tests.keys() == {"true_fitness"}
    assert is_free(NoisyBits())
    assert not is_free(Training(Digits()))
    assert not is_free(Repeats(Training(Digits())))


def test_the_folder_says_what_was_run(toy: Toy, folder: Path) -> None:
    again(toy(more=EXPECT), folder, 1)
    text = (folder / DECLARED).read_text()
    assert text.startswith("# command: ")
    assert "sample: 2" in text
