"""Optuna's samplers as strategies: every one under the conformance tests, and a resumed search is the search that was not cut."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from nas.history import History
from nas.journal import finished_event, read_event, started_event
from nas.records import RecordError
from nas.space import decisions, one_of
from nas.strategies.optuna import Optuna
from nas.strategies.strategy import Strategy
from nas.testing.strategies import CHECKS, NESTED, SMALL, generator, replayed, simulate_search, succeed

pytest.importorskip("optuna")

SAMPLERS = ("NSGAIISampler", "NSGAIIISampler", "CmaEsSampler", "QMCSampler", "RandomSampler", "BruteForceSampler")
TWO = ("score", "-cost")


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_sampler_is_a_strategy(check: Callable[[Strategy], None], sampler: str) -> None:
    check(Optuna(sampler))


@pytest.mark.parametrize("sampler", [pytest.param("TPESampler", marks=pytest.mark.slow), "NSGAIISampler", "QMCSampler"])
def test_a_sampler_goes_on_from_a_journal_as_if_nothing_had_been(sampler: str) -> None:
    strategy = Optuna({sampler: {"population_size": 10} if sampler == "NSGAIISampler" else {}})
    whole = simulate_search(strategy, SMALL, 60, workers=2, objective=TWO)
    for cut in (15, 33, 47):
        history = History(TWO)
        for number in range(cut):
            read_event(history, json.loads(json.dumps(started_event(whole, number, 0.0))))
            if number < cut - 2:
                read_event(history, json.loads(json.dumps(finished_event(whole.finished[number], 0.0))))
        while len(history.finished) < 58:
            if len(history.in_flight) < 2:
                proposal = strategy.propose(SMALL, history, generator(0, history))
                assert proposal is not None
                history.start(proposal)
            else:
                succeed(history, min(history.in_flight))
        assert history.digests[:60] == whole.digests[: len(history.digests)], f"cut at {cut}"


def test_the_generations_of_nsga2_are_kept_in_the_notes() -> None:
    strategy = Optuna({"NSGAIISampler": {"population_size": 10}})
    history = simulate_search(strategy, SMALL, 60, objective=TWO)
    generations = [generation_of(proposal.notes) for proposal in history.proposals]
    assert generations == sorted(generations)
    assert generations[-1] >= 4, "without them it would be random search"
    assert replayed(history).proposals[-1].notes == history.proposals[-1].notes


def generation_of(notes: Any) -> int:
    return next(value for name, value in notes["optuna"]["trial"].items() if name.endswith("generation"))


@pytest.mark.slow
def test_tpe_finds_more_than_random_search() -> None:
    space = tuple(one_of(f"{i}", range(6)) for i in range(6))

    def best(strategy: Strategy, seed: int) -> float:
        def finish(history: History, number: int) -> None:
            found = history.proposals[number].architecture
            history.finish(number, {"score": -float(sum((each - 3) ** 2 for each in found))})

        done = simulate_search(strategy, space, 80, seed=seed, finish=finish).best
        assert done is not None
        return done.scores["score"]

    tpe, random = ([best(strategy, seed) for seed in range(5)] for strategy in (Optuna(), Optuna("RandomSampler")))
    assert sum(tpe) > sum(random) + 5


def test_choices_below_others_are_suggested_where_they_are_open() -> None:
    history = simulate_search(Optuna(), NESTED, 30)
    known = {frozenset(decisions(NESTED, each.architecture)) for each in history.proposals}
    assert known == {frozenset({"depth", "a", "c"}), frozenset({"depth", "a", "b", "c"})}


def test_ascending_numbers_are_integers_and_all_else_is_categorical() -> None:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    from nas.choice import Choice
    from nas.strategies.sampling.memory_study import distribution_of

    assert distribution_of(Choice("width", (16, 32, 64))) == IntDistribution(0, 2)
    for options in ((64, 16), ("a", "b"), (True, 2), (8,)):
        assert isinstance(distribution_of(Choice("other", options)), CategoricalDistribution)


def test_a_sampler_has_a_short_name() -> None:
    short, whole = (simulate_search(Optuna(name), SMALL, 20).digests for name in ("TPE", "TPESampler"))
    assert short == whole


def test_the_verbosity_of_optuna_stays_as_it_was() -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    simulate_search(Optuna("RandomSampler"), SMALL, 3)
    assert optuna.logging.get_verbosity() == before


def test_a_question_leaves_no_trace() -> None:
    strategy, history = Optuna("QMCSampler"), simulate_search(Optuna("QMCSampler"), SMALL, 20)
    first = strategy.propose(SMALL, history, Random(1))
    assert [strategy.propose(SMALL, history, Random(seed)) for seed in (2, 3, 1)][-1] == first


@pytest.mark.parametrize(
    ("sampler", "objectives", "message"),
    [
        ("TPESampeler", 1, "Optuna has no sampler 'TPESampeler': did you mean 'TPESampler'?"),
        (
            {"TPESampler": {"n_startup": 3}},
            1,
            "TPESampler has no setting 'n_startup': did you mean 'n_startup_trials'?",
        ),
        ({"NSGAIISampler": {"population_size": 1}}, 2, "NSGAIISampler cannot be made with these settings"),
        ("CmaEsSampler", 2, "CmaEsSampler cannot sample for 2 objectives: "),
    ],
)
def test_a_sampler_that_cannot_work_is_refused(sampler: Any, objectives: int, message: str) -> None:
    with pytest.raises(RecordError) as error:
        Optuna(sampler).check(objectives)
    assert str(error.value).startswith(message)


@pytest.mark.skipif(importlib.util.find_spec("cmaes") is not None, reason="cmaes is installed")
def test_a_package_that_a_sampler_needs_is_named() -> None:
    with pytest.raises(RecordError, match=r"CmaEsSampler cannot sample for 1 objectives: .*cmaes"):
        Optuna("CmaEsSampler").check()


def test_all_other_strategies_work_without_optuna() -> None:
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from nas.records import RecordError, import_all, record_classes; import_all('nas.strategies')\n"
        "from nas.strategies.strategy import Strategy\n"
        "for name, strategy in record_classes(Strategy).items():\n"
        "    try: strategy().check()\n"
        "    except RecordError as error: print(name, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Optuna Optuna is not installed: pip install 'cellstack[optuna]'\n"


def test_a_search_with_optuna_is_cut_and_resumed(call: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "search.yaml").write_text(
        "space: {bits: {length: 10}}\n"
        "strategy: {Optuna: {sampler: {NSGAIISampler: {population_size: 8}}}}\n"
        "evaluator: {NoisyBits: {noise: 0.05}}\n"
        "rules: {budget: {evaluations: 50}, objective: [fitness, -true_fitness]}\n"
    )
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert call("search", tmp_path / "search.yaml", "--run-dir", whole).returncode == 0
    assert call("search", tmp_path / "search.yaml", "rules.budget.evaluations=27", "--run-dir", cut).returncode == 0
    assert call("resume", cut, "rules.budget.evaluations=50").returncode == 0
    assert architectures(whole) == architectures(cut)


def architectures(folder: Path) -> list[Any]:
    lines = (folder / "history.jsonl").read_text("utf-8").splitlines()[1:]
    return [event["architecture"] for event in map(json.loads, lines) if event["event"] == "start"]
