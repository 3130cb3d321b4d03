"""docs/training.md works as it is written: its commands and its code, from top to bottom, in one empty folder."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from nas import cli

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[1] / "docs" / "training.md"


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Return the code blocks of a page: language, code, and the text between it and the block before."""
    found = re.findall(r"(.*?)^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [(language, code, before) for before, language, code in found]


def called(line: str, patch: pytest.MonkeyPatch) -> str:
    """Run a line of a shell in this process, `nas ...` or `python FILE`, and return what it printed."""
    program, *arguments = shlex.split(line)
    printed = StringIO()
    with redirect_stdout(printed):
        if program == "python":
            runpy.run_path(arguments[0])
        else:
            patch.setattr(sys, "argv", [program, *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            assert not ended.value.code, printed.getvalue()
    return printed.getvalue()


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Follow the page in an empty folder; return what each command printed, and the last code as "code"."""
    found: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("newcomer"))
        for name, value in {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}.items():
            patch.setenv(name, value)
        for language, code, before in blocks(PAGE):
            if language == "sh":
                found |= {line: called(line, patch) for line in code.splitlines()}
            elif language in ("python", "yaml"):
                names = re.findall(r"`(\w+\.(?:py|yaml))`:\s*$", before)
                file = Path(names[-1] if names else "code.py")
                file.write_text(code, encoding="utf-8")
                if not names:
                    found["code"] = called("python code.py", patch)
    return found


def of(printed: dict[str, str], start: str) -> str:
    """Return what the command printed that begins so."""
    (text,) = (text for line, text in printed.items() if line.startswith(start))
    return text


def test_what_is_trained_and_tested_is_as_the_page_says(printed: dict[str, str]) -> None:
    trained, page = of(printed, "nas train darts:DARTS_V2 --recipe low.yaml --run-dir"), PAGE.read_text("utf-8")
    assert "2,533 parameters, 90,432 MACs at 3x8x8" in trained
    assert "2,533 parameters, 90,432 multiply-adds" in page
    right = re.search(r"right, % +\d+\.\d+ +(\d+\.\d+)", trained)
    assert right is not None
    assert float(right[1]) > 90
    assert "5 of 5 epochs" in of(printed, "nas show")


def test_a_budget_and_a_profile_give_what_the_page_says(printed: dict[str, str]) -> None:
    assert "channels 8 " in of(printed, "nas train darts:DARTS_V2 --recipe low.yaml fit")
    millions = [int(each.replace(",", "")) / 1e6 for each in re.findall(r"[\d,]{9,}", of(printed, "nas profile"))]
    assert any(f"{each:.1f}" == "529.9" for each in millions)


def test_a_transfer_compares_ways_by_labels(printed: dict[str, str]) -> None:
    table = of(printed, "nas transfer")
    for way in ("linear probe", "from scratch"):
        row = re.search(rf"^{way} +(\d+\.\d+) +(\d+\.\d+) *$", table, re.MULTILINE)
        assert row is not None, table
        assert all(float(each) > 30 for each in row.groups()), "a fifth is chance"


def test_a_finished_training_just_shows_its_numbers(printed: dict[str, str]) -> None:
    assert "Tested" in of(printed, "nas resume")


def test_the_weights_in_ones_own_code_give_the_measured_accuracy(printed: dict[str, str]) -> None:
    own, measured = printed["code"].split()
    assert own == measured


def test_the_recipes_and_their_published_numbers_are_those_of_the_files(root: Path) -> None:
    from nas.runtime.full_training import load_recipe

    rows: dict[str, Any] = dict(
        re.findall(r"^\| `(\w+_\w+|nasbench201)` \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    )
    files = {path.stem for path in (root / "experiments" / "recipes").glob("*.yaml")}
    assert files <= rows.keys()
    for name in files:
        expected = load_recipe(str(root / "experiments" / "recipes" / f"{name}.yaml"))
        assert f"{expected.recipe.epochs} epochs" in rows[name] or name == "pc_darts_imagenet"
        for each in expected.expect.values():
            assert f"{each.mean:g}" in rows[name]


def test_every_option_that_is_named_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands at full length, which are not run, at least parse and name what there is."""
    from nas.runtime.architecture import find_architecture
    from nas.runtime.full_training import load_recipe

    monkeypatch.chdir(PAGE.parents[1])
    lines = [line for kind, code, _ in blocks(PAGE) if kind == "text" for line in code.splitlines()]
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line)
        settings = [word for word in words if re.match(r"[a-z.]+=", word)]
        assert load_recipe(words[words.index("--recipe") + 1], settings).recipe.epochs >= 250
        if ":" in words[2]:
            assert find_architecture(words[2]).family == "darts"
