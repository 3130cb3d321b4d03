"""Parts of a stranger, written outside the checkout, pass the checks that the library ships; broken ones are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.building import Node, Site
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.history import History, Proposal
from nas.records import Positive, classes, record
from nas.space import mutate, sample
from nas.strategies.strategy import Strategy
from nas.testing import check_evaluator, check_node, check_space, check_strategy
from search_spaces import nasbench201

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("own_records")

STRATEGY = """\
from random import Random
from typing import Any

from nas.history import History, Proposal
from nas.records import Positive, record
from nas.space import mutate, sample
from nas.strategies.strategy import Strategy
from nas.testing import check_strategy


@record
class Greedy(Strategy):
    \"\"\"Mutate the best so far, after `first` samples.\"\"\"

    first: Positive = 10

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        best = history.best
        if len(history.proposals) < self.first or best is None:
            return Proposal(sample(space, rng))
        return Proposal(mutate(space, best.architecture, rng), "mutation", (best.number,))


if __name__ == "__main__":
    check_strategy(Greedy())
"""

NODE = """\
import torch
from torch import Tensor, nn

from nas.building import Node, Site
from nas.operations.conv import same_conv
from nas.records import Positive, record
from nas.testing import check_node


@record
class Sandwich(Node):
    \"\"\"Apply ReLU, a convolution of kxk and batch norm.\"\"\"

    kernel: Positive = 3

    def build(self, site: Site) -> nn.Module:
        conv = same_conv((site.shape[0], site.channels), self.kernel, site.stride)
        return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(site.channels, affine=site.affine))


if __name__ == "__main__":
    check_node(Sandwich(5))
"""

EVALUATOR = """\
from pathlib import Path

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.profiling import profile
from nas.records import Positive, record
from nas.testing import check_evaluator


@record
class Small(Evaluator):
    \"\"\"Score a network by how few parameters it has.\"\"\"

    classes: Positive = 10

    def prepare(self, space):
        return {"classes": self.classes, "input": (3, 16, 16)}

    def scores(self):
        return ("smallness",)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        return at_once({"smallness": 1e6 / profile(task.network(job.architecture), task.input).params})

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        return self.evaluate(task, job)


if __name__ == "__main__":
    check_evaluator(Small(), "nasbench201", {"channels": 4, "cells_per_stage": 1})
"""


@pytest.mark.parametrize("text", [STRATEGY, NODE, EVALUATOR], ids=["strategy", "node", "evaluator"])
def test_a_strangers_part_of_thirty_lines_passes(text: str, tmp_path: Path) -> None:
    assert len(text.splitlines()) <= 31
    (tmp_path / "theirs.py").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "theirs.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_strategy_that_remembers_is_named() -> None:
    seen: list[int] = []

    @record
    class Remembers(Strategy):
        def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
            seen.append(1)
            return Proposal(sample(space, Random(len(seen))))

    with pytest.raises(AssertionError, match="it proposes differently for the same history"):
        check_strategy(Remembers())


def test_a_strategy_that_reads_scores_itself_is_named() -> None:
    @record
    class Climbs(Strategy):
        def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
            if len(history.scored) < 5:
                return Proposal(sample(space, rng))
            best = max(history.scored, key=lambda done: done.scores["score"])
            return Proposal(mutate(space, best.architecture, rng), "mutation", (best.number,))

    with pytest.raises(AssertionError, match=r"read history\.value"):
        check_strategy(Climbs())


class Doubles(nn.Module):
    """A layer that writes into its input."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x.mul_(2)
        return x * 1


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Doubles(), "it changes its input in place"),
        (nn.AvgPool2d(2), "correct `shape`"),
        (nn.BatchNorm2d(16), "give it affine=site.affine"),
    ],
)
def test_a_node_that_breaks_its_word_is_named(module: nn.Module, said: str) -> None:
    @record
    class Broken(Node):
        width: Positive = 16

        def build(self, site: Site) -> nn.Module:
            change = nn.Conv2d(site.shape[0], site.channels, 1, site.stride)
            return nn.Sequential(module, change) if isinstance(module, Doubles) else nn.Sequential(change, module)

    with pytest.raises(AssertionError, match=said):
        check_node(Broken())


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (lambda job: {}, "`evaluate` returns no scores"),
        (lambda job: {"other": 1.0}, "does not return wanted"),
        (lambda job: {"wanted": float("nan")}, "not finite"),
        (lambda job: {"wanted": float(len(CALLS))}, "the same job has different scores each time: wanted"),
    ],
)
def test_an_evaluator_that_breaks_its_word_is_named(scores: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORES, "given", scores)
    monkeypatch.setitem(classes, "Given", Given)
    with pytest.raises(AssertionError, match=said):
        check_evaluator(Given(), "bits")


CALLS: list[int] = []
SCORES: dict[str, Any] = {}


@record
class Given(Evaluator):
    """Scores that a test gives."""

    def scores(self) -> tuple[str, ...]:
        return ("wanted",)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        CALLS.append(1)
        return at_once(SCORES["given"](job))

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        return self.evaluate(task, job)


del classes["Given"]  # the tests of all records do not meet it


def test_a_space_of_the_library_passes() -> None:
    check_space(nasbench201.family)
