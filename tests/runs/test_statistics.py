"""Statistics over seeds, beside values worked out by hand and published ones."""

from __future__ import annotations

from math import comb, sqrt
from pathlib import Path
from random import Random

import numpy as np
import pytest

from nas.runs.statistics import (
    DRAWS,
    bootstrap_interval,
    compare_pairs,
    effect_size,
    holm,
    relative_improvement_percent,
    sign_flip_p_value,
    summarise_scores,
)


def test_the_interval_of_two_scores_is_from_one_to_the_other() -> None:
    assert bootstrap_interval([0.0, 1.0]) == (0.0, 1.0), "a quarter of the resamples has twice the same score"


def test_the_interval_of_equal_scores_is_a_point() -> None:
    assert bootstrap_interval([93.5] * 10) == (93.5, 93.5)


def test_the_interval_of_zeros_and_ones_is_that_of_the_binomial_distribution() -> None:
    # a resample has Binomial(100, 0.3) ones, whose 2.5 % and 97.5 % points are 21 and 39
    chances = [comb(100, ones) * 0.3**ones * 0.7 ** (100 - ones) for ones in range(101)]
    below = np.cumsum(chances)
    low, high = (int(np.argmax(below >= share)) / 100 for share in (0.025, 0.975))
    assert (low, high) == (0.21, 0.39)
    assert bootstrap_interval([1.0] * 30 + [0.0] * 70) == pytest.approx((low, high), abs=0.011)


def test_the_interval_is_a_function_of_its_seed_and_near_the_normal_one() -> None:
    rng = Random(1)
    scores = [rng.gauss(90, 2) for _ in range(500)]
    low, high = bootstrap_interval(scores)
    assert bootstrap_interval(scores) == (low, high)
    assert bootstrap_interval(scores, seed=1) != (low, high)
    summary = summarise_scores(scores)
    assert summary.standard_error is not None
    assert (high - low) / 2 == pytest.approx(1.96 * summary.standard_error, rel=0.05)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng, covered = Random(2), 0
    for _ in range(300):
        low, high = bootstrap_interval([rng.gauss(0, 1) for _ in range(50)])
        covered += low <= 0 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_one_score_has_neither_a_deviation_nor_an_interval() -> None:
    summary = summarise_scores([1.0])
    assert (summary.mean, summary.std, summary.interval, summary.standard_error) == (1.0, None, None, None)


def test_a_summary_has_the_mean_and_the_deviation_of_a_sample() -> None:
    summary = summarise_scores([1.0, 2.0, 3.0, 4.0])
    assert (summary.mean, summary.std) == (2.5, pytest.approx(sqrt(5 / 3)))
    assert summary.standard_error == pytest.approx(sqrt(5 / 12))


# Fisher's analysis of Darwin's maize (The Design of Experiments, 1935, section 21): heights in eighths of an inch
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def test_the_sign_flips_of_darwins_maize_are_fishers() -> None:
    # 863 of the 32,768 sums are as large as the observed one, on either side: 2 * 863 / 32,768
    assert sign_flip_p_value([float(each) for each in MAIZE]) == pytest.approx(2 * 863 / 2**15, abs=0.005)


def test_few_pairs_are_flipped_in_all_ways() -> None:
    assert sign_flip_p_value([1.0, 2.0, 3.0]) == 2 / 8, "only +++ and ---"
    assert sign_flip_p_value([1.0, -1.0]) == 1.0
    assert sign_flip_p_value([0.1, 0.2, -0.3]) == 1.0, "a sum of 0 up to rounding"
    assert sign_flip_p_value([0.0, 0.0]) == 1.0


def test_the_p_value_of_many_pairs_is_never_zero() -> None:
    assert sign_flip_p_value([1.0] * 100) == 1 / (DRAWS + 1)


def test_equal_searches_differ_by_chance_as_often_as_the_p_value_says() -> None:
    rng = Random(3)
    p_values = [sign_flip_p_value([rng.gauss(0, 1) for _ in range(30)]) for _ in range(200)]
    assert 0.01 <= sum(p <= 0.05 for p in p_values) / 200 <= 0.10


def test_the_effect_size_is_the_mean_over_the_deviation_of_the_differences() -> None:
    assert effect_size([1.0, 2.0, 3.0]) == pytest.approx(2.0)
    assert effect_size([1.0, 1.0]) is None


def test_holm_multiplies_the_least_by_their_number_and_the_next_by_one_less() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_searches_are_paired_by_the_seeds_that_they_share() -> None:
    scores = {
        "a": {0: 1.0, 1: 2.0, 2: 4.0},
        "b": {1: 1.0, 2: 1.0, 7: 50.0},
        "alone": {9: 1.0},
    }
    (found,) = compare_pairs(scores)
    assert (found.first, found.second, found.pairs, found.mean_difference) == ("a", "b", 2, 2.0)
    assert found.interval == (1.0, 3.0)
    assert (found.p_value, found.holm_p_value) == (0.5, 0.5)


def test_the_correction_is_for_all_pairs_of_a_comparison() -> None:
    rng = Random(4)
    scores = {name: {seed: rng.gauss(place, 1) for seed in range(40)} for place, name in enumerate("abc")}
    found = compare_pairs(scores)
    assert [(each.first, each.second) for each in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [each.holm_p_value for each in found] == holm([each.p_value for each in found])


@pytest.mark.parametrize(
    ("column", "score", "improvement_percent"),
    [
        ("c10_test200", 93.92, 7.88),
        ("c100_test200", 71.84, 16.99),
        ("in16_test200", 45.54, 35.59),
        ("c10_test200", 93.70, 7.62),
        ("c100_test200", 71.04, 15.69),
        ("in16_test200", 44.57, 32.70),
        ("c10_test200", None, 8.40),
        ("c100_test200", None, 19.72),
        ("in16_test200", None, 40.86),
    ],
)
def test_the_relative_improvements_of_nasbench201(
    column: str, score: float | None, improvement_percent: float, shared_data: Path
) -> None:
    """The published rows of evolution and random search beside the average cell; None is the best cell of the table."""
    with np.load(shared_data / "nasbench201.npz") as table:
        values = table["values"][:, table["columns"].tolist().index(column)].astype(float)
    best = values.max() if score is None else score
    assert relative_improvement_percent(best, values.mean()) == pytest.approx(improvement_percent, abs=0.0101)
