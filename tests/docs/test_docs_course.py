"""docs/course.md is what its tool writes, and the tool refuses rows that are empty or name what is not there."""

from __future__ import annotations

from typing import Any

import course
import pytest
from course import PAGE, Row, cells, rows

from nas.family import families
from nas.records import RecordError
from nas.terminal.show import sections

MEND = "write the page anew: make course"


@pytest.mark.slow
def test_the_page_is_what_the_tool_writes() -> None:
    assert PAGE.read_text("utf-8") == course.course(), MEND


def test_no_row_is_empty_and_no_name_is_there_twice() -> None:
    table = [line.split(" | ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    names = [line[0].removeprefix("| ") for line in table if line[0] != "| name"]
    assert names == [row.name for row in rows()]
    assert len(set(names)) == len(names)
    assert all(len(line) == 4 and all(part.strip(" |") for part in line) for line in table)


def named(kind: str) -> set[str]:
    """Return what the rows refer to by a kind."""
    references = [reference.partition(" ") for row in rows() for reference in row.here]
    return {name for word, _, name in references if word == kind}


def test_every_family_with_published_networks_is_there() -> None:
    known = {name.partition(":")[0] for name in named("network")}
    assert known == {name for name, found in families().items() if found.published}


@pytest.mark.parametrize(
    ("kind", "listed"), [("record", "methods"), ("inspection", "inspections"), ("recipe", "recipes")]
)
def test_every_method_is_there(kind: str, listed: str) -> None:
    known = {name for name, _ in sections("nas.")[listed]}
    assert known - named(kind) <= {"modern_imagenet"}, "all but the recipe that is no paper's"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give what is `here`, or in a sentence why it is `missing`"),
        ({"here": ["record Zero"], "missing": "it is not"}, "give what is `here`, or"),
        ({"here": ["recrd Zero"]}, "begin with one of network, "),
        ({"here": ["record Zeros"]}, "there is no record 'Zeros': did you mean 'Zero'"),
        (
            {"here": ["network resnet:resnet51"]},
            "there is no network .*'resnet:resnet51': did you mean 'resnet:resnet50'",
        ),
        ({"here": ["space resnets"]}, "there is no space 'resnets'"),
        ({"here": ["setting Recipe.emma"]}, "there is no field of Recipe 'emma': did you mean 'ema'"),
        ({"here": ["setting Reinforce.loss=PPA"]}, "there is no value of Reinforce.loss 'PPA': did you mean 'PPO'"),
        ({"here": ["command inspects"]}, "there is no command 'inspects'"),
        ({"here": ["command inspect --onley"]}, "there is no option of nas inspect '--onley': did you mean '--only'"),
        ({"here": ["inspection salency"]}, "there is no inspection 'salency'"),
        ({"here": ["recipe alexnets"]}, "there is no recipe 'alexnets'"),
        ({"here": ["experiment quickstarts"]}, "there is no experiment 'quickstarts'"),
        ({"here": ["measured BANANA"]}, "there is no row in docs/strategies.md 'BANANA'"),
        ({"here": ["tool coarse.py"]}, "there is no tool 'coarse.py'"),
        ({"here": ["function nas.morphisms.inherits"]}, "nas.morphisms has no 'inherits'"),
        ({"here": ["record Zero"], "own": {"docs/training.md": "all is well"}}, "which docs/training.md does not say"),
    ],
)
def test_a_wrong_row_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordError, match=said):
        cells(Row("name", **given))


def test_a_row_that_no_test_names_needs_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "_tests", lambda: "")
    with pytest.raises(RecordError, match="has no number, and no test names it"):
        cells(Row("no connection", ("record Zero",)))
    said = {"docs/inspecting.md": "Of its predictions 94.5 % stay after one pixel"}
    assert "94.5 % stay" in cells(Row("shifts", ("inspection shifts",), own=said))


def test_numbers_are_those_of_the_code() -> None:
    both = cells(Row("two", ("network lenet:lenet5", "network alexnet:alexnet")))
    assert "lenet5: 61,706; 0.0004165 G<br>alexnet: 61,100,840; 0.7142 G |" in both
    one = cells(Row("one", ("network resnet:resnet18",)))
    assert one == "| one | `resnet:resnet18` | 11,689,512; 1.814 G; top-1 69.76 % | 11,689,512; 1.814 G |"
    found = cells(Row("search", ("experiment nasbench201/bohb",)))
    assert "CIFAR-10 93.61 ± 0.52; " in found
    assert "CIFAR-10 93.65 ± 0.48; " in found
