"""Fitting: the largest width of a stacked cell that keeps the network within a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nas.building import Node, Shape
from nas.profiling import Profile, profile
from nas.records import Positive, RecordError, record

WIDEST = 2**14
"""A width that no network needs; the search for the width ends there."""


@record
class Fit:
    """Choose the width so that a network's MACs and parameters are within a budget.

    `option` of the family's network function becomes the largest multiple of `multiple` that keeps the budget, as the
    mobile setting (at most 600 million MACs at 224 pixels) requires; NASNet, Zoph et al. 2018, arXiv:1707.07012.
    """

    macs: Positive | None = None
    params: Positive | None = None
    option: str = "channels"
    multiple: Positive = 2

    def __post_init__(self) -> None:
        if self.macs is None and self.params is None:
            raise RecordError("Fit has neither macs nor params: give a budget, as macs 600_000_000")

    def options(self, stack: Callable[..., Node], options: Mapping[str, Any], input: Shape) -> dict[str, Any]:
        """Return the options with the width set. Raises RecordError where the narrowest network exceeds the budget."""
        if self.option not in options:
            raise RecordError(
                f"Fit.option is {self.option!r}, which the network does not have: give one of {', '.join(options)}",
                "option",
            )
        count = partial(self._costs, stack, options, input)
        given = options[self.option]
        low, high = 0, max(1, given // self.multiple) if isinstance(given, int) else 1
        # Double until the budget is exceeded, then bisect: `low` is within the budget, `high` is not. Units are
        # `multiple`.
        while self._keeps(count(high)):
            low, high = high, 2 * high
            if high * self.multiple > WIDEST:
                raise RecordError(
                    f"{self.option} {low * self.multiple} is still within the budget: give an option that makes the network wider"
                )
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._keeps(count(middle)) else (low, middle)
        if not low:
            costs = count(1)
            raise RecordError(
                f"the narrowest network, {self.option} {self.multiple}, has {costs.macs:,} MACs and {costs.params:,} "
                f"parameters, which is over the budget: raise it, or give fewer layers"
            )
        return {**options, self.option: low * self.multiple}

    def _costs(self, stack: Callable[..., Node], options: Mapping[str, Any], input: Shape, times: int) -> Profile:
        """Return the costs of the network of width `times` * `multiple`."""
        return profile(stack(**{**options, self.option: times * self.multiple}), input)

    def _keeps(self, costs: Profile) -> bool:
        """Return whether the costs are within the budget."""
        budgets = ((costs.macs, self.macs), (costs.params, self.params))
        return all(budget is None or value <= budget for value, budget in budgets)
