"""One training by several processes: with real Ray Train, a real kill, and two workers that talk by Gloo."""

from __future__ import annotations

import ast
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import torch
from torch import nn

from nas.data import Augmentation, Digits
from nas.evaluation.evaluator import Evaluation, Job, Progress, Task
from nas.records import RecordError, record_classes
from nas.runtime.executor import Executor, Outcome
from nas.runtime.ray_train import RayTrain
from nas.runtime.tune import train
from nas.supernets import search as searching
from nas.supernets.darts import Darts
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.training.peers import Peers, peers
from search_spaces import nasbench201

ray = pytest.importorskip("ray")

EPOCHS, KILLED_AFTER = 4, 2

NETWORK = {"channels": 4, "cells_per_stage": 1, "classes": 10}
TASK = Task(nasbench201.nasbench201(), nasbench201.network, NETWORK, (1, 8, 8))
DECLARED = SupernetSearch(
    Darts(),
    Digits(),
    epochs=EPOCHS,
    images=48,
    weights=WeightsRecipe(batch=16, augmentation=Augmentation(crop_pad=1)),
    alphas=AlphasRecipe(images=48, lr=0.1),
)


@dataclass
class Told:
    """A session of given jobs that keeps what it is told; `heard` is called with all progress."""

    jobs: list[Job]
    heard: Callable[[Progress], None] = lambda progress: None
    progressed: list[tuple[int, str, Progress]] = field(default_factory=list)
    outcomes: dict[int, tuple[str, Outcome]] = field(default_factory=dict)
    asked: int = 0

    @property
    def finished(self) -> bool:
        return len(self.outcomes) == len(self.jobs)

    def ask(self) -> Job | None:
        self.asked += 1
        return self.jobs[self.asked - 1] if self.asked <= len(self.jobs) else None

    def progress(self, number: int, worker: str, progress: Progress) -> None:
        assert number not in self.outcomes
        self.progressed.append((number, worker, progress))
        self.heard(progress)

    def tell(self, number: int, worker: str, outcome: Outcome) -> None:
        assert number not in self.outcomes, "told twice"
        self.outcomes[number] = worker, outcome

    def epochs(self, number: int) -> list[float]:
        return [progress.epoch for each, _, progress in self.progressed if each == number and progress.epoch]

    def workers(self, number: int) -> set[str]:
        return {worker for each, worker, _ in self.progressed if each == number and worker}


def search(folder: Path, killed: bool, job: Job) -> Evaluation:
    """Search, and write down what each process has learnt; one may be killed in the middle, once."""
    rank, seen, turns = peers().rank, list[Any](), searching.SupernetTrainer
    torch.save(exchanged(), folder / f"exchanged-{rank}.pt")
    searching.SupernetTrainer = lambda *settings: seen.append(turns(*settings)) or seen[-1]
    under_way = searching.search_supernet(DECLARED, folder, True, TASK, job)
    while True:
        try:
            progress = next(under_way)
        except StopIteration as end:
            torch.save(seen[-1].supernet.state_dict(), folder / f"learnt-{rank}.pt")
            return end.value
        if killed and progress.epoch == KILLED_AFTER and rank == 1:
            die_once(folder / "killed")
        yield progress


def fail_alone(job: Job) -> Evaluation:
    """Fail in one process, while the other waits for it."""
    yield Progress(1, 1)
    if peers().rank == 1:
        raise ValueError("only here")
    peers().mean(0.0, torch.device("cpu"))
    return {}


def in_peace(folder: Path, job: Job) -> Evaluation:
    """Search to the end."""
    return search(folder, False, job)


def die_once(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def die(job: Job) -> Evaluation:
    """Report once, and be killed."""
    yield Progress(1)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def wait_for_ever(job: Job) -> Evaluation:
    """Wait, in one process, for the other, which does not come."""
    if peers().rank == 0:
        yield Progress(1, shown={"pid": os.getpid()})
        peers().mean(0.0, torch.device("cpu"))
    time.sleep(600)
    return {}


def exchanged() -> dict[str, Any]:
    """Return what became of tensors that the processes average and align, of several data types in one call."""
    rank = float(peers().rank)
    averaged = [torch.full((2,), rank), torch.full((3,), rank, dtype=torch.float64), torch.full((2, 2), -rank)]
    peers().all_reduce_mean(averaged)
    aligned = [torch.full((2,), rank), torch.full((1,), int(rank) + 5)]
    peers().broadcast(aligned)
    return {"averaged": averaged, "aligned": aligned, "gradients": gradients(peers())}


def gradients(each: Peers) -> list[torch.Tensor]:
    """Return the gradients of a model without batch norm, for a batch of eight images that the processes share."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    x, y = torch.randn(8, 1, 8, 8, generator=generator), torch.randint(10, (8,), generator=generator)
    own = each.share(torch.arange(8))
    nn.functional.cross_entropy(model(x[own]), y[own]).backward()
    found = [weight.grad for weight in model.parameters() if weight.grad is not None]
    each.all_reduce_mean(found)
    return found


@pytest.fixture(scope="module")
def started() -> Iterator[None]:
    """Start Ray once for all tests here; workers get what this module defines by value, as they cannot import it."""
    from nas.runtime.tune import cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with cluster.environment(2), cluster.connected(None, 2, 1.0):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def told(started: None, folder: Path) -> Told:
    """Do a search to its end."""
    session = Told([Job(0, None, 7)])
    RayTrain(workers=2, retries=1).run(session, partial(in_peace, folder), folder)
    return session


def learnt(folder: Path, rank: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"learnt-{rank}.pt", weights_only=True)


def assert_alike(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """All weights and alphas are the same to the last bit."""
    assert first.keys() == second.keys()
    assert {name.split(".")[0] for name in first} == {"model", "policy"}
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_the_driver_has_every_method_that_is_called_remotely() -> None:
    called = {
        node.func.value.attr
        for node in ast.walk(ast.parse(inspect.getsource(train)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "remote"
        if isinstance(node.func.value, ast.Attribute)
    }
    assert called, "no type checker sees into a handle of Ray"
    assert called <= vars(train.TrainDriver).keys()


@pytest.mark.slow
def test_workers_end_with_the_same_weights_and_alphas(told: Told, folder: Path) -> None:
    own = learnt(folder, 0)
    assert_alike(own, learnt(folder, 1))
    assert all(alphas.abs().max() > 0.1 for name, alphas in own.items() if name.startswith("policy."))


@pytest.mark.slow
def test_gradients_are_those_of_the_whole_batch(told: Told, folder: Path) -> None:
    whole = gradients(Peers())
    for rank in range(2):
        shared = torch.load(folder / f"exchanged-{rank}.pt", weights_only=True)["gradients"]
        torch.testing.assert_close(shared, whole)


@pytest.mark.slow
def test_tensors_of_several_types_are_averaged_and_aligned(told: Told, folder: Path) -> None:
    for rank in range(2):
        found = torch.load(folder / f"exchanged-{rank}.pt", weights_only=True)
        assert [each.flatten().tolist() for each in found["averaged"]] == [[0.5] * 2, [0.5] * 3, [-0.5] * 4]
        assert [each.tolist() for each in found["aligned"]] == [[0.0, 0.0], [5]]


@pytest.mark.slow
def test_progress_and_scores_of_the_first_worker_reach_the_session(told: Told) -> None:
    assert told.epochs(0) == [1, 2, 3, 4]
    assert all(progress.shown["loss"] > 0 for number, _, progress in told.progressed if number == 0)
    worker, outcome = told.outcomes[0]
    assert told.workers(0) == {worker}
    assert outcome.scores is not None, outcome.trace
    assert outcome.scores["epochs"] == EPOCHS


@pytest.mark.slow
def test_a_candidate_that_fails_in_one_worker_alone_has_failed_and_is_not_tried_again(
    started: None, tmp_path: Path
) -> None:
    told = Told([Job(1, None, 7)])
    RayTrain(workers=2, retries=1).run(told, fail_alone, tmp_path)
    worker, outcome = told.outcomes[1]
    assert (outcome.scores, outcome.failure) == (None, "ValueError: only here")
    assert 'raise ValueError("only here")' in outcome.trace
    assert told.epochs(1) == [1]
    assert worker not in told.workers(1), "it is the other one that failed"


@pytest.mark.slow
def test_nothing_is_left_of_ray_trains_own_files(told: Told, folder: Path) -> None:
    assert not list(folder.glob("train-*"))


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_the_search_ends_as_if_nothing_had_been(
    told: Told, folder: Path, tmp_path: Path
) -> None:
    session = Told([Job(0, None, 7, tmp_path / "0.pt")])
    RayTrain(workers=2, retries=1).run(session, partial(search, tmp_path, True), tmp_path)
    worker, outcome = session.outcomes[0]
    assert outcome.scores is not None, outcome.trace
    assert outcome.scores["epochs"] == EPOCHS
    assert (tmp_path / "killed").exists()
    assert len(session.workers(0)) == 2, "all processes began anew"
    assert worker == session.progressed[-1][1]
    epochs = session.epochs(0)
    assert (epochs.count(1), epochs[-1]) == (1, EPOCHS), "from the checkpoint, and not from the start"
    for rank in range(2):
        assert_alike(learnt(tmp_path, rank), learnt(folder, 0))


@pytest.mark.slow
def test_workers_that_keep_dying_are_a_failure(started: None, tmp_path: Path) -> None:
    session = Told([Job(0, None, 0)])
    RayTrain(workers=1, retries=1).run(session, die, tmp_path)
    _, outcome = session.outcomes[0]
    assert outcome.failure == "its workers died 2 times"
    assert session.epochs(0) == [1, 1]


@pytest.mark.slow
def test_ctrl_c_ends_all_workers_and_gives_their_place_back(started: None, tmp_path: Path) -> None:
    session = Told([Job(0, None, 0)], lambda progress: Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start())
    with pytest.raises(KeyboardInterrupt):
        RayTrain(workers=2).run(session, wait_for_ever, tmp_path)
    assert not session.outcomes
    assert not list(tmp_path.iterdir())
    pid = int(session.progressed[0][2].shown["pid"])
    deadline = time.monotonic() + 30
    while is_alive(pid) or ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        assert time.monotonic() < deadline, "workers outlive their session"
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("gpus", [0.5, 2, -1])
def test_workers_share_no_gpu(gpus: float) -> None:
    with pytest.raises(RecordError, match=r"RayTrain\.gpus_per_worker is .*: give"):
        RayTrain(gpus_per_worker=gpus)


def test_a_worker_needs_something_to_run_on() -> None:
    with pytest.raises(RecordError, match="0 CPUs and 0 GPUs"):
        RayTrain(cpus_per_worker=0).run(Told([]), wait_for_ever, None)


def test_the_executor_is_found_by_its_name() -> None:
    assert record_classes(Executor)["RayTrain"] is RayTrain
