"""Where exports go and what they are called: nothing that is exported is written over, and what is printed can be typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.cli.exporting import export
from nas.export.compare import largest_difference
from nas.export.subject import importable
from nas.records import RecordError

Call = Callable[..., Any]
SMALL = "network(stem=conv3-4, head=classifier(classes=5))[conv3-8/2]"


@pytest.fixture
def handed_over(tmp_path: Path) -> Path:
    """Return a folder with the weights of a small network, and the JSON that says what they are of."""
    export(SMALL, to="json,safetensors", out=tmp_path / "out", untrained=True, card=False)
    return tmp_path / "out"


@pytest.mark.parametrize("to", ["source", "safetensors", "json"])
def test_what_is_exported_is_never_written_over(handed_over: Path, to: str) -> None:
    before = {path: path.read_bytes() for path in handed_over.iterdir()}
    with pytest.raises(RecordError, match="is a source of this export, and would be lost: give another --out"):
        export(str(handed_over / "network.safetensors"), to=to, out=handed_over, force=True, card=False)
    assert {path: path.read_bytes() for path in handed_over.iterdir()} == before


def test_a_folder_is_not_taken_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "network.dot").mkdir()
    with pytest.raises(RecordError, match=r"network.dot is a folder: give another --out"):
        export(SMALL, to="json,dot", out=tmp_path, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["network.dot"]


@pytest.mark.parametrize("name", ["numpy", "onnx", "json", "torch", "class", "3 of mine"])
def test_a_file_hides_no_module_that_it_works_with(name: str) -> None:
    assert importable(name).startswith("network_")


@pytest.mark.parametrize("wrong_at", [1, 3])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 7.0])
def test_a_wrong_output_is_seen_at_every_batch_and_of_every_kind(wrong: float, wrong_at: int) -> None:
    model = nn.Flatten()

    def run(images: Tensor) -> Tensor:
        return torch.full((wrong_at, 12), wrong) if len(images) == wrong_at else images.flatten(1)

    assert largest_difference(run, model, (3, 2, 2)) > 1


def test_a_family_without_networks_is_exported_as_a_tree(toy: Call, call: Call, tmp_path: Path) -> None:
    run = tmp_path / "run[seed=1]"
    searched = call("search", toy(), "--run-dir", run)
    assert f"Run folder: {run}  (nas show {run}, nas report {run})" in searched.stdout, "brackets are no markup"
    assert f"{run}: 12 evaluated" in call("show", run).stdout
    assert call("export", run, "--to", "json,notation", "--out", tmp_path / "out").returncode == 0
    answer = call("export", run, "--to", "source", "--out", tmp_path / "out")
    assert answer.returncode == 2
    assert "a string of bits is not a network" in answer.stderr


@pytest.mark.parametrize("tree", [SMALL, "residual[conv3-8 x2] x2"], ids=["network", "no head"])
def test_a_card_says_what_the_network_gives_and_its_commands_run(
    tree: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("export", tree, "--to", "notation,json,yaml,source", "--out", tmp_path, "--untrained").returncode == 0
    monkeypatch.chdir(tmp_path)
    card = (tmp_path / "network.md").read_text("utf-8")
    commands = [line.removeprefix("nas ").split() for line in card.splitlines() if line.startswith("nas ")]
    assert [call(*command).returncode for command in commands] == [0, 0, 0]
    says = "image classification, 5 classes" if tree == SMALL else "features `(B, 8, 32, 32)`"
    assert says in card
    assert ("classif" in card.partition("## How")[0]) == (tree == SMALL)


def test_words_of_a_card_are_no_markup(handed_over: Path, tmp_path: Path) -> None:
    from nas.export.card import _table

    assert r"| cat\|dog, &lt;img> |" in _table({"Classes": "cat|dog, <img>"})


@pytest.mark.parametrize(
    "command", ["show", "profile", "export --to svg", "train --recipe nasbench201", "test", "report"]
)
def test_a_name_that_is_too_long_for_a_file_is_one_line(command: str, call: Call) -> None:
    name, *options = command.split()
    answer = call(name, "a" * 5000, *options)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1


def test_a_text_file_of_something_else_is_one_line(call: Call, tmp_path: Path) -> None:
    (tmp_path / "cell.txt").write_text("|nor_conv_3x3~0|+|skip_connect~0|")
    answer = call("show", tmp_path / "cell.txt")
    assert answer.returncode == 2
    assert "cell.txt: '|nor_conv_3x3~0|+|skip_connect~0|' is not a NAS-Bench-201 cell: write |op~0|+" in answer.stderr
