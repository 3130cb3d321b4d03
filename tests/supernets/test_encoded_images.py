"""Supernet searches on images that are decoded as they are needed, as ImageNet's are: real files, and a killed search."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from killing import same_tensors, supernet_searched_whole_and_killed
from PIL import Image

from nas.data import Digits, ImageFiles, Images
from nas.supernets.darts import Darts
from nas.supernets.method import Phase
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.supernet import Supernet
from nas.supernets.supernet_trainer import SupernetTrainer
from nas.training import Execution, seeded
from nas.training.peers import Peers
from search_spaces import nasbench201

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("one_thread")

CELLS = """
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
supernet: {method: %s, epochs: 4, data: {ImageFiles: {path: %s, size: 8}}, weights: {batch: 20}}
"""
ELASTIC = """
space: {mobile: {widths: [4, 8], strides: [1, 2], depth: 1, kernels: [3, 5], last: 8}}
supernet: {method: %s, epochs: 4, data: {ImageFiles: {path: %s, size: 8}}, weights: {batch: 20, lr: 0.1}}
strategy: RandomSearch
rules: {budget: {evaluations: 4}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 160 scans of digits as PNG files, and 40 for the test."""
    root, images = tmp_path_factory.mktemp("scans"), Digits().load().train
    assert isinstance(images, Images)
    for i in range(200):
        file = root / ("train" if i < 160 else "test") / str(int(images.y[i])) / f"{i:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.x[i, 0].numpy() * 15).convert("RGB").save(file)
    return root


def trainer(folder: Path, rank: int = 0) -> SupernetTrainer:
    data = ImageFiles(str(folder), size=8)
    declared = SupernetSearch(Darts(), data, weights=WeightsRecipe(batch=20), alphas=AlphasRecipe(images=60))
    with seeded(0):
        network = nasbench201.network(nasbench201.nasbench201(), channels=4, cells_per_stage=1)
        supernet = Supernet(network, Darts(), (3, 8, 8))
    return SupernetTrainer(supernet, declared, Phase(Darts(), 4), declared.split(), 0, Peers(rank, 1))


def test_an_epoch_is_the_same_with_any_number_of_decoders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for decoders in (1, 4):
        monkeypatch.setattr(Execution, "decoders_here", lambda self, decoders=decoders: decoders)
        turns = trainer(folder)
        means = turns.epoch(0, 0)
        assert means.alphas_loss is not None
        found.append((means, torch.cat([each.detach().flatten() for each in (*turns.weights, *turns.alphas)])))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])


def test_crops_differ_from_epoch_to_epoch_and_between_weights_and_alphas(folder: Path) -> None:
    turns = trainer(folder)
    first, again, later = turns.fixed_batch(0), turns.fixed_batch(0), turns.fixed_batch(1)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], later[0])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("text", "method"), [(CELLS, "Darts"), (CELLS, "PcDarts"), (CELLS, "Proxyless"), (ELASTIC, "BigNas")]
)
def test_a_killed_search_on_files_resumes_to_the_same(text: str, method: str, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "files.yaml"
    file.write_text(text % (method, folder), encoding="utf-8")
    whole, cut = supernet_searched_whole_and_killed(file, tmp_path, epochs=1)
    assert same_tensors(whole / "supernets" / "0.safetensors", cut / "supernets" / "0.safetensors")
    left = subprocess.run(["pgrep", "-f", str(file)], capture_output=True, text=True, check=False)
    assert left.stdout == "", "no process that decodes is left"
