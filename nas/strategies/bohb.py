"""BOHB: Falkner et al. 2018, arXiv:1807.01774."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from nas.records import record
from nas.strategies.brackets import Halving, Shape
from nas.strategies.hyperband import Hyperband
from nas.strategies.kde import Kde
from nas.strategies.strategy import Strategy


@record
class Bohb(Halving):
    """Hyperband whose new proposals are drawn by `Kde`, a model of the longest trainings of which there are enough.

    With another strategy as `of` it is `Hyperband` around that: with `Optuna`, the TPE that several libraries call BOHB.
    """

    of: Strategy = Kde()
    several_objectives: ClassVar[bool] = False

    def shapes(self) -> Iterator[Shape]:
        return Hyperband(self.of, self.epochs, self.eta).shapes()
