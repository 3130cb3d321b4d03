"""AdaNet tries a member as deep as the last and one a layer deeper, and keeps the better where the objective falls."""

from __future__ import annotations

from nas.history import History
from nas.space import decisions
from nas.strategies.ada_net import AdaNet
from nas.testing.strategies import simulate_search
from search_spaces.adanet import adanet

SPACE = adanet(members=3, depth=3)


def depths(history: History) -> list[list[int]]:
    """Return the depths of the members of each proposal, 0 being the first option."""
    taken = [decisions(SPACE, each.architecture) for each in history.proposals]
    return [[each[f"member{i}/depth"] for i in range(1, each["size"] + 2)] for each in taken]


def finish(values: list[float]) -> object:
    def end(history: History, number: int) -> None:
        history.finish(number, {"loss": values[number]})

    return end


def test_the_better_candidate_is_the_next_ensemble() -> None:
    history = simulate_search(AdaNet(), SPACE, 8, 2, finish=finish([9, 8, 7, 6.5, 6, 5, 1, 2]), objective="-loss")  # type: ignore[arg-type]
    assert depths(history) == [[0], [1], [1, 1], [1, 2], [1, 2, 2], [1, 2, 2], [0], [1]]
    assert [each.parents for each in history.proposals] == [(), (), (1,), (1,), (3,), (3,), (), ()]
    assert [each.origin for each in history.proposals[-2:]] == ["start", "start"], "from the largest it begins again"


def test_where_no_candidate_is_better_it_begins_again() -> None:
    history = simulate_search(AdaNet(), SPACE, 6, finish=finish([5, 6, 7, 8, 9, 9]), objective="-loss")  # type: ignore[arg-type]
    assert depths(history) == [[0], [1], [0, 0], [0, 1], [0], [1]]
    assert list(AdaNet().possible_parents(history)) == [4]


def test_a_failed_candidate_leaves_the_other() -> None:
    def end(history: History, number: int) -> None:
        if number == 1:
            history.fail(number, "NaN")
        else:
            history.finish(number, {"loss": 10.0 - number})

    history = simulate_search(AdaNet(), SPACE, 4, finish=end, objective="-loss")
    assert depths(history)[2:] == [[0, 0], [0, 1]]
    assert [each.parents for each in history.proposals[2:]] == [(0,), (0,)]
