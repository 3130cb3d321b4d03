"""Two real processes train one store of elastic weights, over Gloo: they draw the same architectures, and learn the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nas.data import Augmentation, Digits
from nas.supernets.big_nas import BigNas
from nas.supernets.elastic_method import Elastic, ElasticNet
from nas.supernets.method import Phase
from nas.supernets.once_for_all import OnceForAll
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.supernet_trainer import SupernetTrainer
from nas.supernets.uniform_elastic import UniformElastic
from nas.training import seeded
from nas.training.peers import peers
from search_spaces.mobile import mobile

METHODS: dict[str, Elastic] = {
    "BigNas": BigNas(candidates=2),
    "OnceForAll": OnceForAll(candidates=2, kernel_transforms=True),
    "UniformElastic": UniformElastic(candidates=2),
}
SPACE = mobile((4, 8), (1, 2), depth=2, kernels=(3, 5), expansions=(2.0, 3.0), squeezes=(0.0,), last=8)


def declared(method: Elastic) -> SupernetSearch:
    weights = WeightsRecipe(batch=40, lr=0.1, channels_last=False, augmentation=Augmentation(crop_pad=1))
    return SupernetSearch(method, Digits(), epochs=4, weights=weights, alphas=AlphasRecipe(images=80), images=120)


def work(folder: Path, rank: int) -> None:
    """Be one of two processes: train a store by each method, and save its weights before and after."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    for name, method in METHODS.items():
        search = declared(method)
        with seeded(0):
            net = ElasticNet(SPACE, lambda network: network, method, (1, 8, 8))
        turns = SupernetTrainer(net, search, Phase(method, 4), search.split(), 0, peers())
        assert turns.peers.size == 2
        torch.save(net.model.state_dict(), folder / f"{rank}-{name}-before.pt")
        for epoch in range(4):
            turns.epoch(epoch, epoch)
        torch.save(net.model.state_dict(), folder / f"{rank}-{name}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    code = "import sys, pathlib, test_elastic_together as t; t.work(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), str(rank)],
            env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    errors = [process.communicate(timeout=250)[1] for process in started]
    assert all(process.returncode == 0 for process in started), errors
    return folder


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", METHODS)
def test_two_processes_end_with_equal_weights(name: str, together: Path) -> None:
    first, second, before = (
        torch.load(together / f"{kind}.pt", weights_only=True)
        for kind in (f"0-{name}", f"1-{name}", f"0-{name}-before")
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(each, second[key]) for key, each in first.items())
    learnt = [key for key, each in first.items() if not torch.equal(each, before[key])]
    assert len(learnt) > len(first) / 3, "all weights and none of the buffers"
