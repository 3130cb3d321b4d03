"""All experiments of the library reproduced: which are run, which are left out and why, the table and the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nas.evaluation.table_file import load_rows, load_table
from nas.report.html.reproduced import distance
from nas.runs.declared import experiments
from nas.runs.experiment import Expectation
from nas.runs.reproduce import Comparison
from nas.runs.reproduce_all import listed, read_header, reproduce_listed

Toy = Callable[..., Path]
Call = Callable[..., Any]

EXPECT = "expect: {highest_fitness: {mean: 0.6, tolerance: 1}}\n"
VOID = {"meta", "link", "br"}


class Balanced(HTMLParser):
    """Checks that every element is closed, and keeps the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.seen, self.words = list[str](), set[str](), list[str]()
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


def test_a_header_says_how_many_seeds_took_how_long(tmp_path: Path) -> None:
    found = {}
    for name, line in {
        "seconds": "# Run here: `nas reproduce` with 500 seeds, one CPU core, about 20 s.",
        "minutes": "# Run here: `nas reproduce` with 200 seeds, one CPU core, about 6 min.",
        "before": "# Hardware: one CPU core, about 2 s for 10 seeds.",
        "nothing": "# Hardware: a GPU; NOT RUN HERE at this size.",
    }.items():
        (tmp_path / name).write_text(f"# A claim.\n{line}\nspace: bits\n# about 9 s with 3 seeds\n")
        header = read_header(tmp_path / name)
        assert header.text == f"A claim.\n{line[2:]}"
        found[name] = header.seeds, header.seconds
    assert found == {"seconds": (500, 20), "minutes": (200, 360), "before": (10, 2), "nothing": (None, None)}


def test_an_experiment_is_left_out_with_its_reason(toy: Toy, tmp_path: Path) -> None:
    fast, slow = "# A claim. Run with 20 seeds, about 1 s.\n", "# A claim. Run with 20 seeds, about 2 min.\n"
    text = toy(more=EXPECT).read_text()
    table = (
        "evaluator:\n  Table:\n    {table: no_such_table.npz, validation: c10_valid12, seconds: seconds,\n"
        "     test_columns: {test_top1_percent: c10_test200}}\n"
    )
    of_table = text.replace("space: bits", "space: nasbench201").replace(
        "evaluator:\n  NoisyBits: {noise: 0.01}\n", table
    )
    texts = {
        "fast": fast + text,
        "slow": slow + text,
        "untimed": text,
        "unexpected": fast + text.replace(EXPECT, ""),
        "far": fast + text + "executor: RayTune\n",
        "missing": fast
        + of_table.replace("highest_fitness", "test_top1_percent").replace("fitness", "validation_top1_percent"),
    }
    for name, each in texts.items():
        (tmp_path / f"{name}.yaml").write_text(each)
    files = {name: tmp_path / f"{name}.yaml" for name in texts}
    reasons = {each.name: each.left_out for each in listed(files, None, slow=False)}
    assert list(reasons) == ["fast", "slow", "untimed", "far", "missing"]
    assert reasons["fast"] == ""
    assert reasons["slow"] == "slow, about 2 min: --slow runs it"
    assert reasons["untimed"] == "slow, as its header does not say how long it takes: --slow runs it"
    assert reasons["far"] == "trains networks: nas reproduce far"
    assert "no_such_table.npz" in reasons["missing"]
    assert not any(each.left_out for each in listed(files, None, slow=True) if each.name in ("slow", "untimed"))
    assert [each.seeds for each in listed(files, None, slow=False)] == [20, 20, 10, 20, 20]
    assert {each.seeds for each in listed(files, 3, slow=False)} == {3}


def test_a_search_that_fails_is_a_row_and_not_the_end(toy: Toy, tmp_path: Path) -> None:
    path = toy(("NoisyBits: {noise: 0.01}", "PythonFunction: {name: 'math:sqrt', score: fitness}"), more=EXPECT)
    path.write_text("# Run with 2 seeds, about 1 s.\n" + path.read_text())
    (each,) = listed({"toy": path}, None, slow=False)
    found = reproduce_listed(each, tmp_path / "kept", 1)
    assert not found.holds
    assert "TypeError" in found.failure


def test_most_experiments_are_listed_with_a_reason_or_their_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAS_DATA", raising=False)
    load_table.cache_clear()  # tables that another test has read, by their names
    load_rows.cache_clear()
    known = {each.name: each for each in listed(experiments(), None, slow=True)}
    assert known["toy/ageing_evolution"].left_out == ""
    assert "nasbench201.npz" in known["nasbench201/tpe"].left_out
    assert known["cifar10/darts_first_order"].left_out == "trains networks: nas reproduce cifar10/darts_first_order"
    assert "quickstart" not in known, "it expects nothing"


SOME = (
    *("nasbench201/random_search", "nasbench201/regularized_evolution", "nasbench201/random_architecture"),
    *("nasbench201/tpe", "nasbench_macro/local_search", "nats_bench/local_search_cifar10", "toy/ageing_evolution"),
    "cifar10/darts_first_order",
)
"""Experiments of each kind; of those that are run all together take seconds."""


@pytest.fixture
def every(shared_data: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return `nas reproduce --all` with 2 seeds, of some experiments."""
    some = {name: path for name, path in experiments().items() if name in SOME}
    monkeypatch.setattr("nas.terminal.show_reproduction.experiments", lambda: some)
    monkeypatch.setenv("NAS_DATA", str(shared_data))
    return lambda *more: call("reproduce", "--all", "--seeds", "2", "--run-dir", tmp_path / "kept", *more)


@pytest.mark.slow
def test_all_are_one_table_and_one_page(every: Call, tmp_path: Path) -> None:
    printed, data = every(), every("--json")
    found = json.loads(data.stdout)
    numbers = [each for reproduced in found["reproduced"] for each in reproduced["scores"]]
    holds = all(each["holds"] for each in numbers)
    assert printed.returncode == data.returncode == (0 if holds else 1)
    page = (tmp_path / "kept" / "reproduced.html").read_text()
    read = Balanced(page)
    assert not read.seen & {"script", "img", "iframe"}
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page), "it makes no request"
    words = " ".join(read.words)
    for reproduced in found["reproduced"]:
        assert reproduced["experiment"] in words
        for each in reproduced["scores"]:
            own = f"{each['own_mean']:.3f} ± {each['own_std']:.3f}"
            assert own in words
            expected = f" {each['published']['mean']:g}"
            row = next(line for line in printed.stdout.splitlines() if own in line and expected in line)
            assert (f"does not hold, by {each['outside']:.3f}" in row) == (not each["holds"])
            assert each["holds"] or f"outside by {each['outside']:.3f}" in words
    for name, reason in found["left_out"].items():
        assert f"Left out: {name}: {reason}" in printed.stdout
        assert name in words
        assert reason in words
    assert page.count('<svg role="img" width="180"') == len(numbers)
    assert page.count("Checklist for papers") == len(found["reproduced"])
    assert len(found["reproduced"]) >= 6


def test_a_file_that_is_no_page_is_not_replaced(every: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text("mine")
    answer = every("--html", tmp_path / "mine.html")
    assert answer.returncode == 2
    assert answer.stderr == f"nas: {tmp_path / 'mine.html'} exists and is no report: give another --html\n"
    assert not (tmp_path / "kept").exists(), "before anything runs"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give an EXPERIMENT, or --all"),
        (("quickstart", "--all"), "and not both"),
        (("quickstart", "--slow"), "--slow is for --all"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(words: tuple[str, ...], said: str, call: Call) -> None:
    answer = call("reproduce", *words)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("nas: ")
    assert answer.stderr.count("\n") == 1
    assert said in answer.stderr


def test_a_distance_is_drawn_to_the_scale_of_its_tolerance() -> None:
    def at(own: float, tolerance: float = 1.0) -> float:
        drawn = distance(Comparison("score", Expectation(10, tolerance), own, 0.1, 5, (own, own)))
        found = re.search(r'cx="([\d.]+)"', drawn)
        assert found
        return float(found[1])

    assert (at(10), at(11), at(9)) == (90, 120, 60), "the tolerance is the middle third of 180"
    assert at(500) == pytest.approx(180 * 0.98, abs=0.1)
    assert at(10, tolerance=0) == 90
