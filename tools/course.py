"""The table of the course: what the library has for each of its names, with published and own numbers.

`make course` writes docs/course.md from docs/course.yaml, which says what each name is here, and from what has the numbers: the
catalogue (`make catalogue` first), experiments and recipes, docs/reproduced.json, and pages and headers that state measurements.
The tool refuses a name of something that does not exist, a quotation that its page does not have, and a row without a number, a
test or a reason. A test compares the page with the code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer
import yaml
from bubbles import ACCURACIES
from catalogue import PAGE as CATALOGUE
from catalogue import ROOT, TESTS, network_costs, numbers, run_of
from reproduced import results

from nas.cli import app
from nas.family import families
from nas.records import RecordError, classes, nearest
from nas.runs.declared import experiments, recipes
from nas.runs.experiment import Expectation, load
from nas.runs.full_training import load_recipe
from nas.terminal.show import sections

NAMES, PAGE = ROOT / "docs" / "course.yaml", ROOT / "docs" / "course.md"

STRATEGIES = ROOT / "docs" / "strategies.md"

HEAD = """\
# The course

The networks, layers, techniques and methods of the course on which this library is based, and what each of them is here: names
for `nas list`, `nas profile` and files of experiments. Published numbers are those of papers, or of released definitions and
weights; own ones are counted or measured here. "tests" means that there is no number, and that tests name it. `make course`
writes this page from docs/course.yaml and from the code.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What something is here, in words, its published number, our own, and what tells it from others of its row."""

    what: str
    published: str = ""
    own: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A name of the course: what here is it, and what is added to the numbers; or why it is missing.

    `here` are references, each a kind and a name, as `strategy Bananas`. `published` is a number that no file of the library has,
    with its source. `own` are quotations, by the page that states them.
    """

    name: str
    here: Sequence[str] = ()
    published: str = ""
    own: Mapping[str, str] | None = None
    note: str = ""
    missing: str = ""


def course() -> str:
    """Return the page as Markdown. Raises RecordError where a row is wrong or empty, and for a family that no row names."""
    declared = yaml.safe_load(NAMES.read_text(encoding="utf-8"))
    named = {reference.split(" ")[1].partition(":")[0] for row in rows() for reference in row.here}
    for family, found in families().items():
        if found.published and family not in named:
            raise RecordError(f"{NAMES.name} has no row with the published networks of {family}: add one")
    return "\n".join([HEAD, *(f"## {title}\n\n{_section(part)}" for title, part in declared.items())])


def rows() -> list[Row]:
    """Return the names of the course."""
    declared = yaml.safe_load(NAMES.read_text(encoding="utf-8"))
    return [_row(name, given) for part in declared.values() for name, given in part["names"].items()]


def _section(part: Mapping[str, Any]) -> str:
    lines = [cells(_row(name, given)) for name, given in part["names"].items()]
    return "\n".join(
        [part["text"].strip() + "\n", "| name | here | published | own |", "|---|---|---|---|", *lines, ""]
    )


def _row(name: str, given: Any) -> Row:
    """Return a row; one reference or a list of them is short for `here`."""
    fields = given if isinstance(given, dict) else {"here": given}
    if unknown := fields.keys() - Row.__dataclass_fields__.keys():
        raise RecordError(f"row {name!r} has {', '.join(sorted(unknown))}: give {', '.join(Row.__dataclass_fields__)}")
    here = fields.get("here", ())
    return Row(name, **{**fields, "here": (here,) if isinstance(here, str) else tuple(here)})


def cells(row: Row) -> str:
    """Return a row of the table. Raises RecordError where it is empty, or names what does not exist."""
    if bool(row.here) == bool(row.missing):
        raise RecordError(f"row {row.name!r}: give what is `here`, or in a sentence why it is `missing`")
    if row.missing:
        return _line([row.name, f"not here: {row.missing}", row.published or "none", "none"])
    found = [_found(row.name, reference) for reference in row.here]
    several = sum(bool(each.label) for each in found) > 1
    labels = [f"{each.label}: " if each.label and several else "" for each in found]
    published = [label + each.published for label, each in zip(labels, found, strict=True) if each.published]
    published += [row.published] if row.published else []
    own = [label + each.own for label, each in zip(labels, found, strict=True) if each.own] + list(_quoted(row))
    if not own and not any(map(_is_tested, row.here)):
        raise RecordError(f"row {row.name!r} has no number, and no test names it: add `own`, or a test")
    here = [*(each.what for each in found), *([row.note] if row.note else ())]
    return _line([row.name, "; ".join(here), "<br>".join(published) or "none", "<br>".join(own) or "tests"])


def _line(parts: Sequence[str]) -> str:
    return f"| {' | '.join(part.replace('|', chr(92) + '|') for part in parts)} |"


def _quoted(row: Row) -> Iterator[str]:
    """Yield the quotations of a row. Raises RecordError where a page does not have one."""
    for file, words in (row.own or {}).items():
        text = " ".join(re.sub(r"\n#? *", " ", (ROOT / file).read_text(encoding="utf-8")).split())
        if " ".join(words.split()) not in text:
            raise RecordError(f"row {row.name!r} quotes {words!r}, which {file} does not say: quote what it says")
        yield f"{words} ([{Path(file).stem}]({_link(ROOT / file)}))"


def _link(path: Path) -> str:
    inside = path.resolve().relative_to(ROOT)
    return inside.name if inside.parts[0] == "docs" else f"../{inside}"


# ---------------------------------------------------------------------------------------------- what is here


def _found(row: str, reference: str) -> Found:
    kind, _, name = reference.partition(" ")
    if kind not in KINDS:
        raise RecordError(f"row {row!r} has {reference!r}: begin with one of {', '.join(KINDS)}")
    try:
        return KINDS[kind](name)
    except RecordError as error:
        raise RecordError(f"row {row!r}: {error}") from None


def _known(name: str, known: Any, what: str) -> Any:
    if name not in known:
        raise RecordError(f"there is no {what} {name!r}: {nearest(name, list(known))}")
    return known[name] if isinstance(known, Mapping) else name


def network(name: str) -> Found:
    """Return a published network with its counts, from the catalogue, and the accuracy of released weights."""
    own, expected = _known(name, _counted(), "network in docs/catalogue.md (make catalogue)")
    top1 = _top1().get(name)
    accuracy = f"top-1 {top1:.2f} %" if top1 is not None else ""
    return Found(f"`{name}`", "; ".join(filter(None, (expected, accuracy))), own, name.partition(":")[2])


@cache
def _counted() -> dict[str, tuple[str, str]]:
    """Return own and expected costs of each network, as the catalogue has them."""
    written = network_costs(CATALOGUE.read_text(encoding="utf-8"))
    return {name: (f"{params}; {macs / 1e9:.4g} G", expected) for name, (params, macs, expected) in written.items()}


@cache
def _top1() -> dict[str, float]:
    known = yaml.safe_load(ACCURACIES.read_text(encoding="utf-8"))
    return {name: top1 for each in known.values() for name, top1 in each["top1_percent"].items()}


def space(name: str) -> Found:
    """Return a space."""
    found = _known(name, families(), "space")
    members = len(found.published)
    return Found(f"space `{name}`" + (f" of {members} published" if members > 1 else ""))


@cache
def _titles() -> dict[str, str]:
    """Return the kind of each record that `nas list` prints, by class; of `strategies` it is `strategy`."""
    singular = {
        "strategies": "strategy",
        "topology": "structure",
        "losses": "loss",
        "unlabelled": "loss without labels",
    }
    return {
        name.partition(" (")[0]: singular.get(title, title.removesuffix("s"))
        for title, listed in sections("nas.").items()
        for name, _ in listed
    }


def listed(name: str) -> Found:
    """Return a record by its class."""
    title = _titles().get(name, "record")
    _known(name, classes, "record")
    return Found(f"{title} `{name}`")


def setting(name: str) -> Found:
    """Return a field of a record, or one of its values: `Recipe.ema`, `Reinforce.loss=PPO`."""
    field, _, value = name.partition("=")
    owner, _, key = field.partition(".")
    _titles()
    hints = get_type_hints(_known(owner, classes, "record"))
    hint = _known(key, hints, f"field of {owner}")
    if value:
        _known(value, list(map(str, _literals(hint))), f"value of {field}")
    return Found(f"`{name}`")


def _literals(hint: Any) -> Iterator[Any]:
    """Yield the words that a type allows."""
    for part in get_args(hint):
        if get_origin(part) is not None:
            yield from _literals(part)
        elif not isinstance(part, type):
            yield part


def inspection(name: str) -> Found:
    """Return a method of `nas inspect`."""
    _known(name, dict(sections()["inspections"]), "inspection")
    return Found(f"inspection `{name}`")


def recipe(name: str) -> Found:
    """Return a recipe and what is published of it."""
    path = _known(name, recipes(), "recipe")
    found = load_recipe(str(path))
    published = f"{found.expect_of} by {name}: {numbers(found.expect)} %" if found.expect else ""
    return Found(f"recipe [{name}]({_link(path)})", published)


def experiment(name: str) -> Found:
    """Return an experiment; where it expects numbers, with these and our own runs of it."""
    path = _known(name, experiments(), "experiment")
    here, expect = f"experiment [{name}]({_link(path)})", load(path).expect
    if not expect:
        return Found(here)
    scores = results().get(name, {}).get("scores", {})
    own = {score: Expectation(round(mean, 2), 0, round(std, 2)) for score, (mean, std) in scores.items()}
    data = TESTS.get(name.partition("/")[0], "")
    return Found(here, f"{data} {numbers(expect)}".strip(), numbers(own) if own else run_of(path), name)


def measured(name: str) -> Found:
    """Return a row of the table in the section "Measured" of docs/strategies.md, by its first cell."""
    section = STRATEGIES.read_text(encoding="utf-8").partition("## Measured\n")[2].partition("\n## ")[0]
    rows = [[part.strip() for part in line.split("|")[1:]] for line in section.splitlines() if line.startswith("| ")]
    table = {row[0]: row for row in rows}
    after_150 = _known(name, table, "row in docs/strategies.md")[4]
    return Found("measured in [strategies](strategies.md)", "", f"{after_150} after 150 evaluations", f"`{name}`")


def command(name: str) -> Found:
    """Return a command, or one of its options: `train`, `test --views`."""
    word, _, option = name.partition(" ")
    known: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = _known(word, known, "command")
    if option:
        _known(option, [each for part in found.params for each in part.opts], f"option of nas {word}")
    return Found(f"`nas {word}`" + (f" with `{option}`" if option else ""))


def tool(name: str) -> Found:
    """Return a program in tools."""
    path = ROOT / "tools" / name
    if not path.is_file():
        raise RecordError(f"there is no tool {name!r}: give a file in tools")
    return Found(f"[tools/{name}]({_link(path)})")


def function(name: str) -> Found:
    """Return a function by its dotted name."""
    module, _, last = name.rpartition(".")
    if not hasattr(import_module(module), last):
        raise RecordError(f"{module} has no {last!r}: give a function of it")
    return Found(f"`{name}`")


KINDS: Mapping[str, Callable[[str], Found]] = {
    each.__name__: each
    for each in (network, space, setting, inspection, recipe, experiment, measured, command, tool, function)
} | {"record": listed}
"""What a reference may begin with, and what finds the rest."""


@cache
def _tests() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py")))


def _is_tested(reference: str) -> bool:
    """Return whether a test names what a reference names; conformance tests have every network, space and recipe."""
    kind, _, name = reference.partition(" ")
    word = re.split(r"[=. ]", name)[-1].lstrip("-")
    return kind in ("network", "space", "recipe") or re.search(rf"\b{re.escape(word)}\b", _tests()) is not None


def main() -> None:
    """Write the page."""
    PAGE.write_text(course(), encoding="utf-8")


if __name__ == "__main__":
    main()
