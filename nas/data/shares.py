"""Parts of a data set in which every class is represented, as far as the numbers allow."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.data.base import stratified_order


def hold_out(y: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices of `count` held-out images, and those of the rest, from labels `y`, (N,).

    Both parts keep the classes' proportions, in a random order. Where rounding would leave a class out of a part, each
    class with two images has one held out before any other image is, and one is kept.
    """
    order = stratified_order(y, seed)
    held = order[:count]
    if count and _lacks_a_class(y, order, count):
        # first images of each class are held out first, last images of each class last
        order_by_need = order[_need(y[order]).argsort(stable=True)]
        held = order_by_need[:count]
    is_held = torch.zeros(len(y), dtype=torch.bool)
    is_held[held] = True
    return held, order[~is_held[order]]


def take(y: Tensor, order: Tensor, count: int) -> Tensor:
    """Return the first `count` images of an order, with labels `y`, (N,).

    If a class would be missing, the first image of each class comes before all others. A smaller `count` gives a part of
    a larger one.
    """
    taken = order[:count]
    if not missing_classes(y[taken], y[order]):
        return taken
    is_first = _is_first(y[order])
    return torch.cat([order[is_first], order[~is_first]])[:count]


def missing_classes(y: Tensor, among: Tensor) -> list[int]:
    """Return the labels of `among`, (M,), that are not in `y`, (N,)."""
    return sorted(set(among.flatten().tolist()) - set(y.tolist()))


def _lacks_a_class(y: Tensor, order: Tensor, count: int) -> bool:
    """Return whether a class with two images is not held out, or a class is not kept."""
    held, rest = y[order[:count]], y[order[count:]]
    counts = y.bincount()
    return bool(missing_classes(held, (counts > 1).nonzero()) or missing_classes(rest, y))


def _need(labels: Tensor) -> Tensor:
    """Return for each label in an order 0 for a class's first image, 2 for its last or only one, 1 for the others."""
    need = torch.ones_like(labels)
    need[_is_first(labels)] = 0
    need[_is_first(labels.flip(0)).flip(0)] = 2
    return need


def _is_first(labels: Tensor) -> Tensor:
    """Return whether each of the labels, (N,), is the first of its class, bool (N,)."""
    by_class = labels.argsort(stable=True)
    # The sort is stable: the first of each run of equal labels is the first of its class.
    first = torch.ones_like(labels, dtype=torch.bool)
    first[by_class[1:]] = labels[by_class[1:]] != labels[by_class[:-1]]
    return first
