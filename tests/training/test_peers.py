"""Processes that train one model: they share batches evenly, and what one alone would meet, all meet."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.data import Augmentation, Digits
from nas.records import RecordError
from nas.supernets.darts import Darts
from nas.supernets.method import Phase
from nas.supernets.pdarts import PDarts
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.supernet import Supernet
from nas.supernets.supernet_trainer import SupernetTrainer
from nas.training import Diverged, seeded
from nas.training.peers import PeerLost, Peers
from search_spaces import nasbench201

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("images", [2, 7, 12])
def test_shares_are_equal_and_each_image_is_in_one(images: int, size: int) -> None:
    indices = torch.randperm(images)
    shares = [Peers(rank, size).share(indices) for rank in range(size)]
    assert {len(share) for share in shares} == {images // size}
    assert sorted(torch.cat(shares).tolist()) == sorted(indices[: images - images % size].tolist())


def test_a_process_alone_exchanges_nothing() -> None:
    tensor = torch.ones(2)
    Peers().all_reduce_mean([tensor])
    Peers().broadcast([tensor])
    assert Peers().mean(2.5, torch.device("cpu")) == 2.5
    assert tensor.tolist() == [1, 1]


def test_a_lost_peer_does_not_pass_for_a_failure_of_the_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(tensor: Tensor) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(torch.distributed, "all_reduce", lose)
    with pytest.raises(PeerLost, match="RuntimeError: Connection closed by peer") as lost:
        Peers(0, 2).all_reduce_mean([torch.ones(2)])
    assert not isinstance(lost.value, Exception)


def turns(method: Any = None, batch: int = 16, images: int = 32) -> SupernetTrainer:
    """Return a small supernet in training."""
    method = method or Darts()
    weights = WeightsRecipe(batch=batch, augmentation=Augmentation())
    declared = SupernetSearch(method, Digits(), images=images, weights=weights, alphas=AlphasRecipe(images=32))
    with seeded(0):
        network = nasbench201.network(nasbench201.nasbench201(), channels=4, cells_per_stage=1)
        supernet = Supernet(network, method, (1, 8, 8))
    return SupernetTrainer(supernet, declared, Phase(method, 10), declared.split(), 0, Peers())


@pytest.mark.parametrize(("size", "batch", "images"), [(1, 1, 32), (2, 3, 32), (2, 16, 3), (4, 16, 2)])
def test_too_few_images_for_each_worker_are_refused(size: int, batch: int, images: int) -> None:
    searched = turns(batch=batch, images=images)
    searched.peers = Peers(size - 1, size)
    with pytest.raises(
        RecordError, match=f"{images} images in batches of {batch} .* each of {size} workers: give more"
    ):
        searched.epoch(0, 0)


def test_a_loss_of_another_worker_that_is_not_finite_is_met_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def average(self: Peers, tensors: list[Tensor]) -> None:
        if len(tensors) == 2:
            tensors[0][1] = float("nan")  # the second batch of another worker

    monkeypatch.setattr(Peers, "all_reduce_mean", average)
    with pytest.raises(Diverged, match="2"):
        turns().epoch(0, 0)


def test_dropout_is_drawn_from_the_seed_and_the_epoch() -> None:
    method = PDarts(layers=(), options=(5,), skip_dropout=(0.9,), weights_only=0)
    losses = []
    for state in range(2):
        torch.manual_seed(state)
        losses.append(turns(method).epoch(0, 3).loss)
    assert losses[0] == losses[1]
    assert losses[0] != turns(method).epoch(0, 4).loss
