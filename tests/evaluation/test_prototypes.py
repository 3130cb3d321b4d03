"""Prototypes by hand: the mean of features, the nearest of which a linear layer finds, and the interval of episodes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.evaluation.prototypes import FewShot, few_shot_accuracy, last_linear, prototypes_of, set_prototypes
from nas.records import RecordError

FEATURES = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0], [5.0, 7.0]])


def with_head(head: nn.Module) -> nn.Module:
    return nn.ModuleDict({"head": head})


def test_prototypes_by_hand() -> None:
    means = prototypes_of(FEATURES, torch.tensor([0, 0, 1, 1]), 2)
    assert means.tolist() == [[1.0, 0.0], [5.0, 6.0]]
    model = with_head(nn.Linear(2, 2))
    set_prototypes(model, means)
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)) * 5
    distances = torch.cdist(points, means).square()
    logits = last_linear(model)(points)
    torch.testing.assert_close(logits.softmax(1), (-distances).softmax(1), rtol=0, atol=1e-5)


def test_a_head_without_a_linear_layer_has_no_prototypes() -> None:
    with pytest.raises(RecordError, match="this network's head has none"):
        last_linear(with_head(nn.Conv2d(3, 10, 1)))


def test_episodes_of_classes_apart_are_all_right_and_of_noise_are_chance() -> None:
    y = torch.arange(10).repeat(30)
    draw = torch.Generator().manual_seed(0)
    apart = few_shot_accuracy(10.0 * nn.functional.one_hot(y).float(), y, FewShot(), draw)
    assert apart == (100.0, 0.0)
    noise = torch.randn(300, 8, generator=draw)
    how = FewShot(classes=4, shots=3, queries=5, episodes=400)
    found = few_shot_accuracy(noise, y, how, torch.Generator().manual_seed(1))
    assert found is not None
    mean, half = found
    assert mean == pytest.approx(25, abs=3 * half)
    # guesses of 20 queries: a binomial's deviation, and somewhat more, as the queries of an episode share prototypes
    assert half == pytest.approx(100 * 1.96 * math.sqrt(0.25 * 0.75 / 20 / 400), rel=0.3)
    assert few_shot_accuracy(noise, y, how, torch.Generator().manual_seed(1)) == found


def test_too_few_images_or_classes_have_no_episodes() -> None:
    y = torch.arange(4).repeat(30)
    assert few_shot_accuracy(torch.zeros(120, 2), y, FewShot(classes=5), torch.Generator()) is None
    assert few_shot_accuracy(torch.zeros(120, 2), y, FewShot(classes=2, queries=26), torch.Generator()) is None
