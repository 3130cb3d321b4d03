"""The checklist for papers: what the folder of a search says is filled in, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_runs import by_hand, carried_out, start

from nas.report.summary.checklist import checklist_of
from nas.report.summary.checklist_item import UNKNOWN
from nas.report.summary.summarise import summarise
from nas.runs.experiment import load
from nas.runs.reproduce import reproduce

Toy = Callable[..., Path]
Call = Callable[..., Any]


def answers(folder: Path) -> dict[str, str]:
    return {each.question: each.answer for each in checklist_of(folder)}


def test_a_run_says_what_it_was(toy: Toy, tmp_path: Path) -> None:
    text = (
        toy(("space: bits", "space: {bits: {length: 12}}")).read_text()
        + "final: {objective: true_fitness, beside_random: 2}\n"
    )
    found = answers(carried_out(text, tmp_path / "run"))
    assert found["Search space and its size"] == "bits, 4,096 architectures"
    assert found["Random seeds of the search"] == "0"
    assert found["Number of runs"] == "1"
    assert found["Budget of the search"] == "12 evaluations"
    assert found["Evaluations and time of the search"].startswith("12 evaluations, ")
    assert found["Data and their split"] == "no data were read"
    assert found["Method, with its settings"] == "RegularizedEvolution (population 4, sample 2)"
    assert found["Comparison with random architectures or random search"].startswith("2 random architectures")
    assert "torch" in found["Hardware and versions, alike for all methods"]
    assert "CPUs" in found["Hardware and versions, alike for all methods"]


def test_the_report_has_the_same_checklist(toy: Toy, tmp_path: Path) -> None:
    run = carried_out(toy().read_text(), tmp_path / "run")
    assert summarise(run).checklist == checklist_of(run)
    nothing = summarise(by_hand(tmp_path / "begun", [start(0, 1.0)]))
    assert (nothing.checklist, nothing.missing["checklist"]) == ([], "nothing was scored yet")


def test_what_only_the_author_knows_stays_open(toy: Toy, tmp_path: Path) -> None:
    found = answers(carried_out(toy().read_text(), tmp_path / "run"))
    open_questions = [question for question, answer in found.items() if answer == UNKNOWN]
    assert open_questions == [
        "Settings of the final evaluation",
        "Is the code published, and where",
        "Comparison with random architectures or random search",
        "Ablations",
        "How the settings of the method were tuned, and with what effort",
    ]


def test_a_reproduction_has_its_seeds_and_its_table(shared_data: Path, tmp_path: Path) -> None:
    changes = ["rules.budget={evaluations: 5}", f"evaluator.table={shared_data}/nasbench201.npz"]
    reproduce(load("nasbench201/random_search", changes), 14, lambda ended: None, tmp_path / "kept")
    found = answers(tmp_path / "kept")
    assert found["Random seeds of the search"] == "14 from 0 to 13"
    assert found["Number of runs"] == "14"
    assert found["Tabular benchmark"] == "yes"
    assert found["Search space and its size"] == "nasbench201, 15,625 architectures"
    digest = json.loads((tmp_path / "kept" / "data.json").read_text())
    assert str(digest).split("'digest': '")[1][:16] in found["Data and their split"]
    assert found["Evaluations and time of the search"].startswith("70 evaluations, ")


def test_the_command_prints_it_as_text_and_as_json(toy: Toy, tmp_path: Path, call: Call) -> None:
    run = carried_out(toy().read_text(), tmp_path / "run")
    printed, data = call("show", run, "--checklist"), call("show", run, "--checklist", "--json")
    assert printed.returncode == data.returncode == 0
    for each in json.loads(data.stdout):
        assert f"  {each['question']}: {each['answer']}" in printed.stdout
        assert each["is_known"] == (each["answer"] != UNKNOWN)


@pytest.mark.parametrize("what", ["nowhere", "darts:DARTS_V2"])
def test_the_checklist_of_what_is_no_search_is_refused(what: str, call: Call) -> None:
    answer = call("show", what, "--checklist")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == (
        f"nas: --checklist is for the folder of a search, and {what} is not one: leave --checklist out\n"
    )
