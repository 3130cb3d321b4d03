"""Evaluators around and beside trainings: measured latency, repeats, and chains that end at a limit."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Generator
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import Any

import pytest
import torch

from nas.data import Digits
from nas.evaluation.costs import Costs
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task, at_once
from nas.evaluation.evaluator_chain import EvaluatorChain, parts_in
from nas.evaluation.latency import Latency, alone
from nas.evaluation.noisy_bits import NoisyBits
from nas.evaluation.repeats import Repeats
from nas.evaluation.training import Training
from nas.history import History, Limit, Proposal
from nas.journal import finished_event, read_event
from nas.records import RecordError, record
from nas.space import sample
from nas.testing.evaluators import check_evaluator, performed, task_for
from nas.training import Recipe
from nas.training.randomness import mixed_seed
from search_spaces.bits import bits

Call = Callable[..., Any]

SMALL = {"channels": 4, "cells_per_stage": 1}


@pytest.mark.parametrize(
    "latency",
    [
        Latency(runs=5),
        Latency(batch=4, dtype="bfloat16", threads=2, runs=3),
        pytest.param(Latency(runtime="onnxruntime", runs=5), marks=pytest.mark.slow),
    ],
    ids=["torch", "bfloat16", "onnxruntime"],
)
def test_latency_is_measured_and_leaves_torch_as_it_was(latency: Latency) -> None:
    task = task_for(latency, "nasbench201", SMALL)
    latency.check(task)
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    progress, scores = performed(latency.evaluate(task, Job(0, sample(task.space, Random(0)), 1)))
    assert list(scores) == ["latency_ms", "latency_p90_ms"] == list(latency.scores())
    assert 0 < scores["latency_ms"] <= scores["latency_p90_ms"]
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    assert progress[0].shown == {"batch": latency.batch}


def test_a_larger_network_takes_longer() -> None:
    latency = Latency(runs=15)
    small, large = (task_for(latency, "nasbench201", {"channels": n, "cells_per_stage": 1}) for n in (4, 64))
    cell = sample(small.space, Random(4))
    first, second = (performed(latency.evaluate(task, Job(0, cell, 1)))[1] for task in (small, large))
    assert first["latency_ms"] < second["latency_ms"]


def hold(device: str, seconds: float, until: Any) -> None:
    with alone(device):
        until.set()
        time.sleep(seconds)


def test_two_processes_measure_one_after_the_other() -> None:
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    other = context.Process(target=hold, args=("a test", 1.0, begun))
    other.start()
    assert begun.wait(60)
    started = time.monotonic()
    with alone("another"):
        assert time.monotonic() - started < 0.5, "another device is free"
    with alone("a test"):
        assert time.monotonic() - started > 0.5
    other.join()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            lambda: Latency(runtime="onnxruntime", dtype="bfloat16"),
            "onnxruntime measures float32 on the CPU, not bfloat16",
        ),
        (
            lambda: Latency(device="cuda").check(task_for(Latency(), "nasbench201", SMALL)),
            "torch finds no GPU here: give cpu",
        ),
        (lambda: Repeats(NoisyBits(), 1), "repeats"),
    ],
)
def test_what_cannot_be_measured_is_refused(made: Callable[[], object], said: str) -> None:
    if "GPU" in said and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RecordError, match=said):
        made()


# -------------------------------------------------------------------------------------------------------- repeats


def test_repeats_have_mean_and_deviation_over_seeds() -> None:
    noisy = NoisyBits(noise=0.1)
    repeated = Repeats(noisy, 4)
    task = task_for(repeated, "bits", {})
    job = Job(3, sample(bits(), Random(0)), 7)
    _, scores = performed(repeated.evaluate(task, job))
    assert scores["fitness_std"] > 0
    assert scores["true_fitness_std"] == 0
    _, single = performed(noisy.evaluate(task, job))
    assert scores["fitness"] != single["fitness"]
    assert set(scores) == set(repeated.scores() or scores)
    check_evaluator(repeated, "bits")


@record
class Counting(Evaluator):
    """Return the job's seed as the score, after two epochs; with `fails` the second repeat fails."""

    fails: bool = False

    def scores(self) -> tuple[str, ...]:
        return "seed", "params", "seconds"

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        for epoch in (1, 2):
            yield Progress(epoch, 2, {"seed": 1.0})
        if job.checkpoint is not None:
            job.checkpoint.touch()
            if self.fails and job.seed != 5:
                raise ValueError("diverged")
        return {"seed": float(job.seed), "params": 10.0, "seconds": 2.0}


def test_each_repeat_has_its_seed_and_its_checkpoint(tmp_path: Path) -> None:
    job = Job(0, None, 5, tmp_path / "search-00000-abc.pt")
    progress, scores = performed(Repeats(Counting(), 3).evaluate(Task(None, lambda tree: tree), job))
    assert scores["params"] == 10
    assert scores["seconds"] == 6
    assert "params_std" not in scores
    assert scores["seed_std"] > 0
    assert [each.epoch for each in progress] == [1, 2, 3, 4, 5, 6]
    assert not any(each.scores for each in progress), "one repeat is no result"
    # the queue removes the first, which is that of the job
    assert [path.name for path in tmp_path.iterdir()] == ["search-00000-abc.pt"]
    with pytest.raises(ValueError, match="diverged"):
        performed(Repeats(Counting(fails=True), 3).evaluate(Task(None, lambda tree: tree), job))
    assert [path.name for path in tmp_path.iterdir()] == ["search-00000-abc.pt"]


def test_repeats_of_trainings_are_those_of_their_seeds() -> None:
    training = Training(Digits(), Recipe(epochs=1, batch=50, drop_path=0.0), validation=200, images=100)
    repeated = Repeats(training, 2)
    task = task_for(repeated, "nasbench201", SMALL)
    cell = sample(task.space, Random(0))
    seeds = list[int]()

    class Seen(Evaluator):
        def evaluate(self, task: Task, job: Job) -> Generator[Progress, None, Any]:
            seeds.append(job.seed)
            return (yield from training.evaluate(task, job))

    _, scores = performed(Repeats(Seen(), 2).evaluate(task, Job(0, cell, 1)))
    alone = [performed(training.evaluate(task, Job(0, cell, seed)))[1]["validation_top1_percent"] for seed in seeds]
    assert scores["validation_top1_percent"] == fmean(alone)
    assert scores["validation_top1_percent_std"] == stdev(alone)
    assert parts_in(repeated) == (training,), "its data are held to"


@record
class Retrained(Evaluator):
    """Return the job's seed as the test score, and write it to the weights; the test of a repeat."""

    def test_scores(self) -> tuple[str, ...]:
        return "seed", "params"

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        raise NotImplementedError

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        yield Progress(1, 1)
        if job.checkpoint is not None:
            job.checkpoint.touch()
        if weights is not None:
            weights.write_text(str(job.seed))
        return {"seed": float(job.seed), "params": 10.0}


def test_the_final_training_is_repeated_on_request(tmp_path: Path) -> None:
    job, weights = Job(0, None, 5, tmp_path / "final.pt"), tmp_path / "best.safetensors"
    once, thrice = Repeats(Retrained()), Repeats(Retrained(), tests=3)
    assert once.test_scores() == ("seed", "params")
    assert performed(once.test(Task(None, lambda tree: tree), job))[1] == {"seed": 5.0, "params": 10.0}
    progress, scores = performed(thrice.test(Task(None, lambda tree: tree), job, weights))
    seeds = [5, *(mixed_seed(5, "repeat", repeat) for repeat in (1, 2))]
    assert scores == {"seed": fmean(seeds), "params": 10.0, "seed_std": stdev(seeds)}
    assert set(scores) == set(thrice.test_scores() or ())
    assert [each.epoch for each in progress] == [1, 2, 3]
    assert weights.read_text() == "5", "the weights of the first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", "final.pt"]


# --------------------------------------------------------------------------------------------------------- chains


@record
class Slow(Evaluator):
    """A stand-in for a training that must not be reached."""

    def scores(self) -> tuple[str, ...]:
        return ("accuracy",)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        return at_once({"accuracy": 1.0})


def test_a_chain_ends_where_a_limit_is_broken() -> None:
    chain = EvaluatorChain((Costs(), Slow()))
    task = task_for(chain, "nasbench201", SMALL)
    job = Job(0, sample(task.space, Random(0)), 1)
    _, scores = performed(chain.evaluate(task, job))
    assert set(scores) == {"params", "macs", "accuracy"}
    from dataclasses import replace

    _, scores = performed(chain.evaluate(replace(task, limits={"params": Limit(most=10)}), job))
    assert set(scores) == {"params", "macs"}


def test_an_evaluation_that_ends_at_a_limit_is_told_as_that(tmp_path: Path) -> None:
    history = History("accuracy", {"latency_ms": Limit(most=10)})
    history.start(Proposal(1))
    done = history.finish(0, {"latency_ms": 12.5})
    assert done.failure == "outside latency_ms <= 10: latency_ms is 12.5"
    assert done.scores == {"latency_ms": 12.5}
    assert not history.scored
    assert history.best is None
    # and so it is after a replay
    again = History("accuracy", history.limits)
    again.start(Proposal(1))
    read_event(again, finished_event(done, 0.0))
    assert again.finished[0] == done


def test_measured_latencies_bound_a_search(tmp_path: Path, call: Call) -> None:
    (tmp_path / "search.yaml").write_text(
        """
space: nasbench201
network: {channels: 16, cells_per_stage: 1}
strategy: RandomSearch
evaluator: [{Latency: {runs: 3}}, Costs]
rules: {budget: {evaluations: 6}, objective: macs, limits: {latency_ms: {most: 0.0001}}, give_up_after: 3}
"""
    )
    answer = call("search", tmp_path / "search.yaml", "--run-dir", tmp_path / "run")
    assert answer.returncode == 1
    assert "ended: outside latency_ms <= 0.0001: latency_ms is" in answer.stdout
    assert "6 evaluations in a row" in answer.stdout
