"""Conformance checks for a strategy, a node, an evaluator or a space of your own.

    from nas.testing import check_strategy
    check_strategy(MyStrategy())

Each raises AssertionError with what does not hold. The library's tests run the same checks on every part of it.
"""

from nas.testing.evaluators import check_evaluator
from nas.testing.nodes import check_node
from nas.testing.spaces import check_space
from nas.testing.strategies import check_strategy

__all__ = ["check_evaluator", "check_node", "check_space", "check_strategy"]
