"""The report page, in a real browser: it loads nothing, draws everything, sorts, filters, and keeps what runs say as text."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING, Any

import pytest
from browser import chromium, opened

from nas.drawing import draw
from nas.records import RecordError
from nas.report.html.colours import INK, PALE
from nas.report.html.page import SCRIPTS, colours_of, render, write_page
from nas.report.summary.summarise import summarise
from nas.report.summary.summary import Failure, LearntAlphas, RunSummary, SupernetCurves, TrainingCurves, Trials
from nas.report.summary.summary import TestSummary as Measured
from search_spaces.darts import family

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ATTACK = """</script><img src=x onerror="document.title='broken'"><!--<script>"""
EVALUATIONS, FAILED = 60, 7

DRAWN = """element => [...element.querySelectorAll("canvas")].some(canvas => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4) if (data[i + 3]) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    return seen.size > 5;
})"""

TEXTS = """() => [...document.querySelectorAll("body *")].flatMap(element => {
    const style = getComputedStyle(element);
    const says = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!says || !element.checkVisibility({visibilityProperty: true}) || element.closest("script, style, svg")) return [];
    let behind = element;
    while (behind && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    return [[element.textContent.trim().slice(0, 40), style.color, getComputedStyle(behind ?? document.body).backgroundColor]];
})"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small real search; its journal then got costs, and a failure that attacks the page."""
    from typer.testing import CliRunner

    from nas.cli import app

    folder = tmp_path_factory.mktemp("runs") / "evolution"
    settings = [
        f"rules.budget.evaluations={EVALUATIONS}",
        "strategy.population=8",
        "strategy.sample=3",
        "--run-dir",
        str(folder),
    ]
    experiment = Path(__file__).parents[2] / "experiments" / "toy" / "ageing_evolution.yaml"
    done = CliRunner().invoke(app, ["search", str(experiment), *settings])
    assert done.exit_code == 0, done.output
    journal = folder / "history.jsonl"
    events = [json.loads(line) for line in journal.read_text("utf-8").splitlines()]
    for event in events:
        if event.get("event") == "finish":
            event["scores"] |= {"macs": 1000.0 * (10 + 37 * event["number"] % 50), "params": 100.0 + event["number"]}
        if event.get("event") == "finish" and event["number"] == FAILED:
            del event["scores"]
            event["failure"] = ATTACK
    journal.write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    return folder


@pytest.fixture(scope="module")
def summary(run: Path) -> RunSummary:
    return summarise(run)


@pytest.fixture(scope="module")
def full(summary: RunSummary) -> RunSummary:
    """Return a summary that has every part."""
    assert summary.best is not None
    epochs = list(range(1, 9))
    measured: dict[str, Sequence[float | None]] = {
        "loss": [2 / each for each in epochs],
        "entropy": [1 / each for each in epochs],
        "skips": epochs,
    }
    measured["eigenvalue"] = [1.0, None, None, 2.0, None, None, 3.0, None]  # measured every third epoch
    alphas = LearntAlphas(
        "0-1",
        ["sep_conv_3x3", "skip_connect"],
        "skip_connect",
        [[0.5 / each for each in epochs], [0.5] * 3 + [None] + [0.5] * 4],
    )
    supernet = SupernetCurves(0, "Darts", epochs, measured, [4], {8: "8 of 9 are skips"}, [alphas], {}, "")
    training = TrainingCurves("best", epochs, 8, {"loss": measured["loss"], "train_top1_percent": [50.0] * 8})
    test = Measured("best", {"top1_percent": 91.5}, ["cat", ATTACK], [10, 10], [80.0, 100.0])
    trials = Trials(["probe"] * 2, [10.0, 100.0], [0, 0], [50.0, 80.0], [1.0, 2.0], ["a", "b"], ["", ""], 0)
    best = replace(summary.best, svg=draw(family.published["DARTS_V2"]) or "")
    return replace(summary, best=best, supernets=[supernet], trainings=[training], tests=[test], trials=trials)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def page(full: RunSummary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, [full])
    return path


@pytest.fixture(scope="module")
def view(browser: Browser, page: Path) -> Iterator[Any]:
    with opened(browser, page) as shown:
        shown.run("drawAll()")  # draws what is not in sight yet
        yield shown


def test_the_page_loads_nothing_and_its_console_says_nothing(view: Any) -> None:
    assert [url for url in view.asked if not url.startswith(("file:", "data:"))] == []
    assert view.said == []


def test_every_chart_is_drawn(view: Any) -> None:
    charts = view.page.query_selector_all(".chart")
    names = [chart.get_attribute("aria-label") for chart in charts]
    assert len(names) >= 10
    assert [name for name, chart in zip(names, charts, strict=True) if not chart.evaluate(DRAWN)] == []


def test_what_is_measured_in_some_epochs_is_a_line_and_strengths_break_where_they_are_missing(view: Any) -> None:
    lines = (
        "name => [...charts.values()].flatMap(each => each.getOption().series).find(each => each.name === name).data"
    )
    assert view.run(lines, "eigenvalue") == [[1, 1.0], [4, 2.0], [7, 3.0]]
    assert view.run(lines, "skip_connect")[3] == [4, None]


def test_all_ancestors_are_in_sight(view: Any, summary: RunSummary) -> None:
    axis = view.run("charts.get(document.querySelector('#ancestors .chart')).getOption().yAxis[0]")
    values = [each.value for each in summary.ancestors if each.value is not None]
    assert axis["min"] <= min(values) <= max(values) <= axis["max"]


def test_the_best_architecture_is_drawn(view: Any) -> None:
    assert view.run("document.querySelector('#best img').naturalWidth") > 300


def test_every_section_has_a_heading_and_a_reading_or_a_reason(view: Any) -> None:
    sections = view.page.query_selector_all("section")
    assert len(sections) >= 11
    for section in sections:
        assert section.query_selector("h2").inner_text()
        assert section.query_selector(".reading, .empty").inner_text()


def test_a_thousand_workers_and_the_failures_of_all_phases_have_room(
    browser: Browser, summary: RunSummary, tmp_path: Path
) -> None:
    assert summary.timeline is not None
    assert summary.costs is not None
    worker = summary.timeline.workers[0]
    workers = [replace(worker, name=f"node{i // 8}:{i}") for i in range(1000)]
    failure = Failure("supernets", 1, "node0:0", 4.0, "RuntimeError: " + "x" * 20_000)
    timeline = replace(summary.timeline, workers=workers, failures=[failure])
    costs = replace(summary.costs, evaluated=40, reused=13)
    write_page(tmp_path / "many.html", [replace(summary, timeline=timeline, costs=costs)])
    with opened(browser, tmp_path / "many.html", 390) as shown:
        assert shown.page.locator("#workers").bounding_box()["height"] < 3000  # type: ignore[index]
        assert "supernets #1" in shown.page.inner_text("#workers")
        assert shown.run("document.documentElement.scrollWidth") <= 390
        assert "53\n13 reused" in shown.page.inner_text(".tiles")  # as nas show counts them


def test_what_a_run_says_stays_text(view: Any) -> None:
    assert view.page.title() == "evolution"
    assert view.run("[...document.images].every(image => image.src.startsWith('data:'))")
    assert ATTACK in view.page.inner_text("#workers")


def column(view: Any, place: int) -> list[str]:
    return view.run(  # type: ignore[no-any-return]
        "n => [...document.querySelectorAll('.rows tbody tr:not(.gap)')].map(r => r.cells[n].innerText)", place
    )


def test_a_heading_sorts_also_by_keyboard(view: Any, summary: RunSummary) -> None:
    assert summary.evaluations is not None
    head = view.page.locator(".rows th").nth(1)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    scores = [each for each in summary.evaluations.scores["fitness"] if each is not None]
    assert [float(each) for each in column(view, 1)[:10]] == pytest.approx(sorted(scores, reverse=True)[:10], abs=1e-3)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(each) for each in column(view, 1)[:10]] == pytest.approx(sorted(scores)[:10], abs=1e-3)


@pytest.mark.parametrize("query", ["macs<20000", "params>=150 macs>30000", "mutation", "random macs<20000"])
def test_the_table_is_filtered_by_words_and_bounds(view: Any, summary: RunSummary, query: str) -> None:
    rows = summary.evaluations
    assert rows is not None

    def fits(i: int, part: str) -> bool:
        name, sign, bound = re.fullmatch(r"(\w+?)(?:(<|>=|>)(\d+))?", part).groups()  # type: ignore[union-attr]
        if not sign:
            return rows.origins[rows.origin[i]] == name
        value = rows.scores[name][i]
        return value is not None and {"<": value < int(bound), ">": value > int(bound), ">=": value >= int(bound)}[sign]

    expected = sum(all(fits(i, part) for part in query.split()) for i in range(EVALUATIONS))
    view.page.fill("#evaluations input", query)
    assert view.page.inner_text("#evaluations .controls span") == f"{expected} of {EVALUATIONS}"
    view.page.fill("#evaluations input", "")


def test_failures_can_be_picked_and_read(view: Any) -> None:
    view.page.select_option("#evaluations select", "failed")
    assert column(view, 0) == [str(FAILED)]
    view.page.click(".rows tbody tr:not(.gap)")
    assert ATTACK in view.page.inner_text("#evaluations .chosen-row")
    view.page.select_option("#evaluations select", "all")


def test_hovering_the_front_shows_the_architecture(view: Any, summary: RunSummary) -> None:
    front, rows = summary.fronts[0], summary.evaluations
    assert rows is not None
    i = max(i for i, is_on in enumerate(front.on_front) if is_on)
    view.page.locator("#front .chart").scroll_into_view_if_needed()
    place = "at => charts.get(document.querySelector('#front .chart')).convertToPixel({seriesIndex: 2}, at)"
    x, y = view.run(place, [front.costs[i], front.value[i]])
    box = view.page.locator("#front .chart").bounding_box()
    view.page.mouse.move(box["x"] + x + 40, box["y"] + y + 9)
    view.page.mouse.move(box["x"] + x, box["y"] + y)
    view.page.wait_for_selector("#front .tip")
    assert rows.texts[rows.architecture[front.number[i]]][:80] in view.page.inner_text("#front .tip")


def test_no_axis_of_percent_goes_beyond_a_hundred(view: Any) -> None:
    limits = "(name, values) => { const {min, max} = round(name, values); return [min, max]; }"
    assert view.run(f"({limits})('validation_top1_percent', [0.5, 99.5])") == [0, 100]
    assert view.run(f"({limits})('macs', [0.5, 99.5])")[1] > 100


def test_the_curve_is_shown_against_seconds_too(view: Any) -> None:
    view.page.click("#progress button:text('seconds')")
    assert view.run("charts.get(document.querySelector('#progress .chart')).getOption().xAxis[0].name") == "time"


def test_a_text_is_copied(view: Any, full: RunSummary) -> None:
    view.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    view.page.click("#again .copied:last-child button")
    assert view.run("navigator.clipboard.readText()") == full.reproduction.yaml


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(view: Any, width: int, scheme: Any) -> None:
    view.page.emulate_media(color_scheme=scheme)
    view.page.set_viewport_size({"width": width, "height": 900})
    assert view.run("document.documentElement.scrollWidth") <= width
    texts = view.run(TEXTS)
    assert len(texts) > 100
    assert [each for each in texts if contrast(*each[1:]) < 4.5] == []


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""
    high, low = sorted(map(luminance, (first, second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    values = [float(each) for each in re.findall(r"[\d.]+", colour)[:3]]
    scale = 1.0 if colour.startswith("color(") else 255.0
    linear = [c / 12.92 if (c := value / scale) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for value in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_theme_can_be_changed(view: Any) -> None:
    view.page.emulate_media(color_scheme="light")
    before = luminance(view.run("getComputedStyle(document.body).backgroundColor"))
    view.page.click("button[title='Switch between light and dark']")
    assert luminance(view.run("getComputedStyle(document.body).backgroundColor")) < 0.05 < before


def test_several_runs_of_all_kinds_are_compared(browser: Browser, full: RunSummary, tmp_path: Path) -> None:
    test_top1 = {"transfer": "test_top1_percent"}
    others = {"training": {"evaluations": None, "curve": None, "trials": None}, "transfer": {"curve": None}}
    heads = [replace(full.head, kind=kind, objective=test_top1.get(kind, "fitness")) for kind in others]  # type: ignore[arg-type]
    runs = [replace(full, head=head, **parts) for head, parts in zip(heads, others.values(), strict=True)]  # type: ignore[arg-type]
    noisier = replace(full.head, state="running", evaluator="NoisyBits (noise 0.02)")
    runs = [full, replace(full, head=replace(noisier, folder="elsewhere/evolution")), *runs]
    write_page(tmp_path / "runs.html", runs)
    with opened(browser, tmp_path / "runs.html") as shown:
        assert shown.page.locator("#table tbody tr").count() == len(runs)
        assert shown.page.locator("#table a").nth(1).inner_text() == "evolution (elsewhere/evolution)"
        assert "80.00 % test top-1" in shown.page.locator("#table tbody tr").nth(3).inner_text()
        assert "score differently: NoisyBits; NoisyBits (noise 0.02)." in shown.page.inner_text("#curves0 .reading")
        assert shown.page.locator("#curves0 .chart").evaluate(DRAWN)
        assert shown.page.locator("details.run section").count() == 0  # a run is drawn when it is opened
        shown.page.click("#table a[href='#run1']")
        assert "still running" in shown.page.locator("#run1 .notice").first.inner_text()
        shown.run("drawWhole()")
        assert "91.50 %" in shown.page.inner_text("#run2-tests")
        assert "probe with 100 % of the labels, 80.00 %" in shown.page.inner_text("#run3-trials .reading")
        assert all(chart.evaluate(DRAWN) for chart in shown.page.query_selector_all("#run2 .chart, #run3 .chart"))
        ids = shown.run("[...document.querySelectorAll('[id]')].map(each => each.id)")
        assert len(ids) == len(set(ids))
        assert shown.said == []


def test_of_20000_evaluations_only_the_rows_in_sight_are_there_and_what_is_missing_is_explained(
    browser: Browser, summary: RunSummary, tmp_path: Path
) -> None:
    many = repeated(summary, 20_000).evaluations
    reason = {"fronts": "no scores named macs"}
    write_page(
        tmp_path / "many.html", [RunSummary(summary.head, summary.reproduction, evaluations=many, missing=reason)]
    )
    with opened(browser, tmp_path / "many.html") as shown:
        assert "No scores named macs." in shown.page.inner_text("#front")
        assert shown.page.locator(".chart").count() == 0
        assert shown.page.locator(".empty").count() >= 6
        shown.page.locator("#evaluations .rows").scroll_into_view_if_needed()
        shown.page.get_by_text("20,000 of 20,000").wait_for()
        rows = "document.querySelectorAll('.rows tr').length"
        assert 15 < shown.run(rows) < 70
        shown.run("document.querySelector('.rows').scrollTop = 1e9")
        shown.page.get_by_role("cell", name="19999", exact=True).wait_for()
        assert column(shown, 0)[-1] == "19999"
        assert 15 < shown.run(rows) < 70
        assert shown.said == []


def repeated(summary: RunSummary, total: int) -> RunSummary:
    """Return a summary whose evaluations come again and again."""
    rows = summary.evaluations
    assert rows is not None

    def column(values: Any) -> list[Any]:
        return [values[i % EVALUATIONS] for i in range(total)]

    names = ("origin", "parents", "architecture", "worker", "failure", "began", "ended", "order")
    scores = {name: column(values) for name, values in rows.scores.items()}
    return replace(
        summary, evaluations=replace(rows, scores=scores, **{each: column(getattr(rows, each)) for each in names})
    )


def test_the_page_has_all_of_the_run_and_cannot_be_left(full: RunSummary) -> None:
    text = render([full])
    assert text.count("</script>") == 3
    assert text.count("<script") == 3
    (runs,) = re.findall(r'id="runs">(.*)</script>', text)
    assert json.loads(gzip.decompress(base64.b64decode(runs)))["runs"][0]["evaluations"]["failures"] == [ATTACK]


def test_no_script_ends_the_element_that_holds_it_or_runs_text() -> None:
    for name in SCRIPTS:
        text = resources.files("nas.report.html").joinpath("assets", f"{name}.js").read_text("utf-8")
        assert not re.search(r"</script|<!--|\beval\(|new Function", text), name


def test_the_library_comes_with_its_licence() -> None:
    assets = resources.files("nas.report.html").joinpath("assets")
    licence = assets.joinpath("echarts.LICENSE.txt").read_text("utf-8")
    assert all(words in licence for words in ("Apache License", "Apache Software Foundation", "BSD 3-Clause", "Baidu"))
    assert "Apache ECharts 6.1.0" in assets.joinpath("echarts.min.js").read_text("utf-8")[:200]


def test_an_operation_has_one_colour_however_it_is_written() -> None:
    colours = colours_of(["sep_conv_5x5", "sep_conv_3x3", "skip_connect", "none"])
    assert len({json.dumps(colour) for colour in colours.values()}) == 4
    assert colours["skip_connect"][0] == INK
    assert colours["none"][0] == PALE


def test_a_report_is_replaced_and_another_file_is_not(summary: RunSummary, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_page(path, [summary])
    write_page(path, [summary])
    path.write_text("mine")
    with pytest.raises(RecordError, match=r"report\.html exists and is no report: give --force"):
        write_page(path, [summary])
    assert path.read_text() == "mine"
    write_page(path, [summary], may_replace=True)
    with pytest.raises(RecordError, match="is a folder: give a file"):
        write_page(tmp_path, [summary])


def test_the_command_says_where_the_page_is(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nas.cli.reporting import report

    report([run])
    assert re.search(r"Report: .*evolution/report.html  \(0\.\d MB, \d+\.\d s\)", capsys.readouterr().out)
    other = tmp_path / "other"
    copytree(run, other)
    report([run, other], out=tmp_path / "both.html")
    assert (tmp_path / "both.html").stat().st_size > (run / "report.html").stat().st_size


@pytest.mark.slow
def test_a_run_that_is_named_twice_is_reported_once(run: Path, tmp_path: Path) -> None:
    from nas.cli.reporting import report

    report([run], out=tmp_path / "once.html")
    report([run / ".." / run.name, run], out=tmp_path / "twice.html")
    assert (tmp_path / "twice.html").stat().st_size == (tmp_path / "once.html").stat().st_size
