"""Rank correlations of scores over the evaluations of a search, and the majority vote."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from report_runs import carried_out
from scipy.stats import spearmanr

from nas.history import History, Proposal
from nas.records import RecordError
from nas.runs.correlation import bootstrap, correlate, spearman
from nas.votes import majority_votes


def history_of(columns: dict[str, list[float]]) -> History:
    """Return a history whose evaluations have these scores."""
    history = History("accuracy")
    for number in range(len(columns["accuracy"])):
        history.finish(history.start(Proposal(number)), {name: column[number] for name, column in columns.items()})
    return history


def columns(count: int = 50) -> dict[str, list[float]]:
    rng = Random(0)
    accuracy = [rng.random() for _ in range(count)]
    return {
        "accuracy": accuracy,
        "synflow": [each + rng.gauss(0, 0.3) for each in accuracy],
        "jacob_cov": [each + rng.gauss(0, 0.3) for each in accuracy],
        "snip": [each + rng.gauss(0, 0.3) for each in accuracy],
        "params": [float(rng.randrange(4)) for _ in accuracy],  # with ties
        "same": [1.0] * count,
    }


def test_it_is_spearman_s_also_with_ties() -> None:
    for name, column in columns().items():
        found = spearman(np.array(column), np.array(columns()["accuracy"]))
        expected = spearmanr(column, columns()["accuracy"]).statistic if name != "same" else None
        assert found == (None if expected is None else pytest.approx(expected))


def test_rows_are_sorted_and_a_vote_of_three_beats_each() -> None:
    found = correlate(history_of(columns()), "accuracy", "it")
    names = [row.score for row in found.rows]
    assert (names[0], names[-1]) == ("vote", "same")
    assert found.architectures == 50
    row = {each.score: each for each in found.rows}["synflow"]
    assert row.spearman is not None
    assert row.interval is not None
    assert row.interval[0] < row.spearman < row.interval[1]


def test_the_best_fifth_is_that_of_the_highest_truth() -> None:
    known = columns()
    best = sorted(range(50), key=lambda place: -known["accuracy"][place])[:10]
    expected = spearmanr([known["snip"][i] for i in best], [known["accuracy"][i] for i in best]).statistic
    rows = {row.score: row for row in correlate(history_of(known), "accuracy", "it").rows}
    assert rows["snip"].within_best == pytest.approx(expected)


def test_an_interval_covers_as_often_as_it_says() -> None:
    # of samples of a rho of 0.6, about 95 of 100 intervals have it
    rng, covered = np.random.default_rng(1), 0
    for _ in range(100):
        x, noise = rng.standard_normal((2, 60))
        y = 0.618 * x + np.sqrt(1 - 0.618**2) * noise  # Pearson 0.618 is Spearman 0.6
        low, high = bootstrap(x, y) or (0.0, 0.0)
        covered += low <= 0.6 <= high
    assert 88 <= covered <= 100


def test_evaluations_without_all_scores_are_left_out_and_repeats_count_once() -> None:
    history = history_of(columns(20))
    history.finish(history.start(Proposal(100)), {"accuracy": 0.5})
    history.finish(history.start(Proposal(3)), history.scored[3].scores)
    found = correlate(history, "accuracy", "it")
    assert (found.architectures, found.left_out) == (20, 1)


def test_too_few_architectures_and_unknown_scores_are_refused() -> None:
    with pytest.raises(RecordError, match=r"3 architectures of it have all scores: evaluate at least 5"):
        correlate(history_of(columns(3)), "accuracy", "it")
    with pytest.raises(RecordError, match=r"no score 'acuracy': did you mean 'accuracy'"):
        correlate(history_of(columns()), "acuracy", "it")


def test_a_majority_wins_where_two_of_three_agree() -> None:
    # a > b in two scores, b > c in two, a > c in all
    assert majority_votes([[3, 3, 2], [2, 2, 3], [1, 1, 1]]) == [2, 1, 0]
    # a cycle: everybody wins once
    assert majority_votes([[3, 1, 2], [2, 3, 1], [1, 2, 3]]) == [1, 1, 1]
    # equal ones win against nobody
    assert majority_votes([[1], [1]]) == [0, 0]


NOISY = """\
space: bits
strategy: RandomSearch
evaluator: {NoisyBits: {noise: 0.01}}
rules: {budget: {evaluations: 60}, objective: fitness}
"""


def test_the_command_prints_a_run(call: Any, tmp_path: Path) -> None:
    folder = carried_out(NOISY, tmp_path / "run")
    answer = call("correlate", folder)
    assert answer.returncode == 0, answer.stderr
    assert "Rank correlation with fitness over 60 architectures" in answer.stdout
    plain = json.loads(call("correlate", folder, "--with", "fitness", "--json").stdout)
    assert plain["architectures"] == 60


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--with", "fitnes"], "did you mean 'fitness'"), (["nowhere"], "no run folder of a search")],
)
def test_bad_input_is_one_line(call: Any, tmp_path: Path, arguments: list[str], said: str) -> None:
    folder = tmp_path / "nowhere" if arguments == ["nowhere"] else carried_out(NOISY, tmp_path / "run")
    answer = call("correlate", folder, *(each for each in arguments if each != "nowhere"))
    assert answer.returncode == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
