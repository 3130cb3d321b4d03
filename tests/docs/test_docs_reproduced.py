"""The README's reproduced numbers are those that were written by the tool, of the experiments as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import reproduced
from reproduced import README, measured, results, section_of, settings_of, tables, written_in

from nas.records import RecordError
from nas.runs.declared import experiments
from nas.runs.experiment import load
from nas.runs.reproduce_all import FAST_SECONDS, listed, read_header, reproduce_listed
from nas.runs.seeds import is_in_memory, trains

MEND = "run the experiments again, and write the section: see tools/reproduced.py"


def test_the_readme_has_the_results_beside_the_expected_numbers_of_the_experiments() -> None:
    assert section_of(README.read_text("utf-8")) == tables(results()), MEND


def test_the_results_are_those_of_the_experiments_as_they_are() -> None:
    known, files = results(), experiments()
    assert {name: found["settings"] for name, found in known.items()} == {
        name: settings_of(files[name]) for name in known
    }, MEND
    assert {name: found["seeds"] for name, found in known.items()} == {
        name: read_header(files[name]).seeds for name in known
    }, MEND


def test_every_fast_experiment_has_results() -> None:
    loaded = {name: (load(path), read_header(path)) for name, path in experiments().items()}
    cheap = {name for name, (each, _) in loaded.items() if each.expect and is_in_memory(each) and not trains(each)}
    fast = {name for name in cheap if (loaded[name][1].seconds or FAST_SECONDS + 1) <= FAST_SECONDS}
    assert fast <= results().keys() <= cheap, MEND


@pytest.fixture
def toys(toy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Path]:
    """Return two small experiments, in the place of those of the library: the second expects too much."""
    files = {}
    for name, mean in {"bits": 0.6, "more": 3}.items():
        note = ", note: Nothing is above 1." if name == "more" else ""
        path = toy(more=f"expect: {{highest_fitness: {{mean: {mean}, tolerance: 0.5, source: own{note}}}}}\n")
        files[name] = path.rename(tmp_path / f"{name}.yaml")
        files[name].write_text("# A claim. Run with 3 seeds, about 1 s.\n" + files[name].read_text())
    monkeypatch.setattr(reproduced, "experiments", lambda: files)
    monkeypatch.setattr(reproduced, "load", lambda name: load(files[name]))
    return files


def test_a_folder_gives_what_has_all_its_seeds(toys: Mapping[str, Path], tmp_path: Path) -> None:
    known = {each.name: each for each in listed(toys, None, slow=True)}
    ran = [reproduce_listed(each, tmp_path / "kept", 1) for each in known.values()]
    found = measured(tmp_path / "kept")
    assert list(found) == ["bits", "more"]
    for each in ran:
        (compared,) = each.compared
        result = found[each.listed.name]
        assert result["scores"]["highest_fitness"] == pytest.approx([compared.own_mean, compared.own_std], abs=1e-4)
        assert result["seeds"] == 3
    rows = tables(found).splitlines()
    assert re.search(
        r"^\| bits \| highest fitness \| \d\.\d{3} ± \d\.\d{3} \(0\.600\) \| own \| 3 \| yes \|$", rows[-2]
    )
    assert re.search(r"\*\*[\d.]+ ± [\d.]+\*\* \(3\.00\) .* no: .* by 1\.\d\d\. Nothing is above 1\. \|$", rows[-1])
    journal = tmp_path / "kept" / "more" / "seeds.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    assert list(measured(tmp_path / "kept")) == ["bits"], "a seed is missing"


def test_seeds_of_other_settings_are_no_results(toys: Mapping[str, Path], tmp_path: Path) -> None:
    for each in listed(toys, None, slow=True):
        reproduce_listed(each, tmp_path / "kept", 1)
    toys["bits"].write_text(toys["bits"].read_text().replace("sample: 2", "sample: 3"))
    with pytest.raises(RecordError, match="has seeds with other settings"):
        measured(tmp_path / "kept")


def test_a_page_keeps_what_stands_around() -> None:
    page = f"before\n{reproduced.BEGIN}\nold\n{reproduced.END}\nafter\n"
    new = written_in(page, "new")
    assert section_of(new) == "new"
    assert written_in(new, "old").replace("\n\n", "\n") == page
