"""Scoring without training: zero-cost proxies of a network with its initial weights."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from torch import Tensor

from nas.data import Data, Split, split
from nas.evaluation.costs import COSTS, network_costs
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task
from nas.evaluation.proxies.proxy import Proxy, name_of
from nas.evaluation.training import built, check_builds, facts_of, first_images
from nas.history import Scores
from nas.records import Range, RecordError, nearest, record, record_classes
from nas.training import best_device


@record
class Proxies(Evaluator):
    """Score an architecture by zero-cost proxies of its untrained network, from one batch of training images.

    `names` are scores, as `synflow` or `params`, or proxies with settings, as `{Fisher: {per: channel}}`. Each proxy measures a
    new copy of one network, with the initial weights of the job's seed. The batch are the first `batch` images, normalised.

    An evaluation fails where a proxy is not finite or, except for `params`, `macs` and `l2_norm`, where the network's output
    does not depend on its input. A test gives the same scores: the test images stay closed.
    """

    data: Data
    names: tuple[str | Proxy, ...] = ("synflow", "nwot")
    batch: Annotated[int, Range(2)] = 64

    def __post_init__(self) -> None:
        if not self.names:
            raise RecordError("names is empty: give a proxy, as synflow", "names")
        if twice := [name for name, times in Counter(self.scores()).items() if times > 1]:
            raise RecordError(f"names has {twice[0]} twice: leave one of them out", "names")

    def prepare(self, space: Any) -> dict[str, Any]:
        return facts_of(_images(self.data))

    def check(self, task: Task) -> None:
        check_builds(task)

    def proxies(self) -> tuple[Proxy, ...]:
        """Return the proxies, in order, without the costs."""
        return tuple(_proxy(each) for each in self.names if each not in COSTS)

    def scores(self) -> tuple[str, ...]:
        return tuple(each if each in COSTS else _proxy(each).name for each in self.names)

    def test_scores(self) -> tuple[str, ...]:
        return self.scores()

    def costs(self, task: Task, architecture: Any) -> Scores:
        if not set(COSTS) & set(self.scores()):
            return {}
        costs = network_costs(task.network(architecture), task.input)
        return {name: costs[name] for name in COSTS if name in self.scores()}

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        found = dict(self.costs(task, job.architecture))
        device = best_device()
        images, labels = (each.to(device) for each in _batch(self.data, self.batch))
        model = built(task.network(job.architecture), job, _images(self.data)).to(device)
        for proxy in self.proxies():
            found[proxy.name] = proxy.score(model, images, labels, job.seed)
            yield Progress(shown={proxy.name: found[proxy.name]})
        return {name: found[name] for name in self.scores()}

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        return self.evaluate(task, job)


def _proxy(named: str | Proxy) -> Proxy:
    """Return a proxy, or that of a name with its default settings. Raises RecordError where there is none of the name."""
    if isinstance(named, Proxy):
        return named
    known: dict[str, type[Proxy]] = {name_of(cls): cls for cls in record_classes(Proxy).values()}
    if named not in known:
        raise RecordError(f"there is no proxy {named!r}: {nearest(named, (*known, *COSTS))}", "names")
    return known[named]()


def _images(data: Data) -> Split:
    return split(data, 0, 0)


@lru_cache(maxsize=2)
def _batch(data: Data, count: int) -> tuple[Tensor, Tensor]:
    """Return the first training images, normalised (B, C, H, W), and their labels (B,)."""
    found = _images(data)
    images = first_images(found, count)
    return images, found.train.y[: len(images)]
