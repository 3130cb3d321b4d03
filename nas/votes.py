"""The majority vote of several scores about which of two architectures is better."""

from __future__ import annotations

from collections.abc import Sequence
from operator import gt


def majority_votes(scores: Sequence[Sequence[float]]) -> list[int]:
    """Return how many others each architecture wins against: it is better in more than half of its scores.

    `scores` are (architectures, scores), and higher is better. Source: the `vote` of Abdelfattah et al. 2021,
    arXiv:2101.08134, of synflow, jacob_cov and snip; the number of wins makes an order of the pairs.
    """
    return [sum(2 * sum(map(gt, mine, other)) > len(mine) for other in scores) for mine in scores]
