"""The Python in README and CONTRIBUTING runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Any

import pytest

import nas
from nas.history import History
from nas.operations.conv import Conv
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from search_spaces.bits import bits

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("own_records")


def blocks(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / document).read_text(encoding="utf-8"), re.S | re.M)


def execute(block: str) -> dict[str, Any]:
    """Run a block as a module of its own would be; without this file's `from __future__` lines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(block, "<document>", "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize(("document", "least"), [("README.md", 1), ("CONTRIBUTING.md", 2)])
def test_the_python_of_a_document_runs(document: str, least: int) -> None:
    found = blocks(document)
    assert len(found) >= least
    for block in found:
        execute(block)


def test_the_operation_of_the_guide_builds_and_its_strategy_proposes() -> None:
    operation, strategy = map(execute, blocks("CONTRIBUTING.md")[:2])
    assert nas.profile(Network(Conv(3), (Stage(operation["GroupedConv"](), channels=8),), Classifier(10))).params > 0
    history = History("score")
    for number in range(3):
        history.start(strategy["CrossTheBest"]().propose(bits(4), history, Random(number)))
        history.finish(number, {"score": float(number)})
    assert history.proposals[2].parents == (0, 1)


def test_the_first_stage_of_the_readme_keeps_the_width_of_its_stem() -> None:
    mutant = execute(blocks("README.md")[0])["mutant"]
    layers = nas.profile(mutant, (3, 32, 32)).layers
    depth, width = mutant.stages[0].repeat, mutant.stages[1].channels
    widths = [{layer.output[0] for layer in layers if layer.name.startswith(f"layers.{i}.")} for i in range(depth + 1)]
    assert widths == [{16}] * depth + [{16, width}]
