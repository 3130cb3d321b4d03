"""Parts of a report on searches of several objectives and on trainings that end early, from histories made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import chromium, opened

from nas.history import History, Limit, Proposal
from nas.pareto import hypervolume
from nas.report.html.page import write_page
from nas.report.summary.fidelity import CURVES, learning_of, rungs_of
from nas.report.summary.objectives import objectives_of
from nas.report.summary.summarise import summarise

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Call = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[2]


def history_of(*points: tuple[float, float], limits: dict[str, Limit] | None = None) -> History:
    history = History(("top1", "-cost"), limits)
    for top1, cost in points:
        history.finish(history.start(Proposal((top1, cost))), {"top1": top1, "cost": cost})
    return history


def test_the_hypervolume_grows_above_the_worst_of_all() -> None:
    found = objectives_of(history_of((50.0, 10.0), (40.0, 5.0), (60.0, 20.0), (45.0, 12.0)))
    assert found is not None
    assert found.names == ["top1", "cost"]
    assert found.minimised == [0, 1]
    assert found.reference == [40.0, 20.0]
    assert found.evaluations == [1, 2, 3, 4]
    assert found.hypervolume == sorted(found.hypervolume)
    assert found.hypervolume[-1] == hypervolume([(50.0, -10.0), (40.0, -5.0), (60.0, -20.0)], (40.0, -20.0)) == 100.0
    assert [(front.evaluations, list(front.first), list(front.second)) for front in found.fronts] == [
        (1, [50.0], [10.0]),
        (2, [40.0, 50.0], [5.0, 10.0]),
        (4, [40.0, 50.0, 60.0], [5.0, 10.0, 20.0]),
    ]


def test_what_is_outside_the_limits_is_on_no_front() -> None:
    found = objectives_of(history_of((50.0, 10.0), (90.0, 99.0), limits={"cost": Limit(most=50)}))
    assert found is not None
    assert found.reference == [50.0, 10.0]
    assert objectives_of(History("top1")) is None
    assert objectives_of(history_of((90.0, 99.0), limits={"cost": Limit(most=50)})) is None


def trained(candidates: int) -> History:
    """Return a history of candidates of one epoch each, of which the last one goes on to its third and is complete."""
    history = History("top1")
    for number in range(candidates):
        history.start(Proposal(number, epochs=1))
        history.report(number, 1, {"top1": float(number)})
        history.finish(number, {"top1": float(number)}, epochs=1)
    history.start(Proposal(candidates - 1, "promotion", (candidates - 1,), epochs=3, resumes=candidates - 1))
    for epoch in (2, 3):
        history.report(candidates, epoch, {"top1": 100.0 * epoch})
    history.finish(candidates, {"top1": 300.0})
    return history


def test_rungs_count_who_ended_and_who_went_on() -> None:
    low, high = rungs_of(trained(4))
    assert (low.epochs, low.ended, low.promoted, low.failed, low.best, low.number) == (1, 4, 1, 0, 3.0, 3)
    assert (high.epochs, high.ended, high.promoted, high.best, high.number) == (3, 1, 0, 300.0, 4)
    assert rungs_of(history_of((1.0, 1.0))) == []


def test_a_learning_curve_goes_on_through_promotions() -> None:
    curves, left_out = learning_of(trained(3))
    assert left_out == 0
    assert [(curve.number, list(curve.epochs), curve.end) for curve in curves] == [
        (0, [1], "stopped"),
        (1, [1], "stopped"),
        (2, [1, 2, 3], "ended"),
    ]
    assert list(curves[2].values) == [2.0, 200.0, 300.0]


def test_of_many_curves_the_best_are_kept_and_the_others_counted() -> None:
    curves, left_out = learning_of(trained(1000))
    assert len(curves) <= CURVES
    assert left_out == 1000 - len(curves)
    assert {999, 998, 900} <= {curve.number for curve in curves}
    assert any(curve.number < 500 for curve in curves)


SEARCH = """\
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: {Nsga2: {population: 10}}
evaluator: Costs
rules: {budget: {evaluations: 40}, objective: [macs, -params], limits: {macs: {most: 1.0e6}}}
"""


@pytest.fixture(scope="module")
def browser() -> Any:
    with chromium() as found:
        yield found


@pytest.mark.slow
def test_the_page_draws_fronts_importances_and_counts(browser: Browser, tmp_path: Path, call: Call) -> None:
    (tmp_path / "search.yaml").write_text(SEARCH)
    assert call("search", tmp_path / "search.yaml", "--run-dir", tmp_path / "run").returncode == 0
    summary = summarise(tmp_path / "run")
    assert summary.costs is not None
    assert summary.costs.rejected > 0
    assert sum(summary.importances.values()) == pytest.approx(100)
    write_page(tmp_path / "report.html", [summary])
    with opened(browser, tmp_path / "report.html") as view:
        assert not view.said
        objectives = view.page.locator("#objectives")
        assert "reference point" in objectives.inner_text()
        objectives.scroll_into_view_if_needed()
        view.page.wait_for_selector("#objectives canvas")
        assert "PED-ANOVA" in view.page.locator("#importances").inner_text()
        assert "proposals rejected by the limits" in view.page.locator("#costs").inner_text()
        assert not view.said
