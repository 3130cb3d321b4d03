"""Every code block of every page works as it is written; `documents.py` says what is done with which."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import ROOT, BlockError, Follower, matches, pages

PAGES = pages()
SLOW = [page for page in PAGES if "<!-- slow: " in page.read_text("utf-8")]

LONG = [f"docs/{name}.md" for name in "architectures drawings python supernets watching your_own_experiment".split()]
"""The pages that take longest, which are followed in the slow tests."""


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] * (named(page) in LONG), id=named(page)) for page in PAGES]
)
def test_a_page_works(page: Path, tmp_path: Path) -> None:
    Follower(page, tmp_path).follow()
    for drawn in tmp_path.glob("*.svg"):
        shown = ROOT / "docs" / "pictures" / drawn.name
        assert not shown.exists() or shown.read_bytes() == drawn.read_bytes(), f"copy what {page.name} draws to {shown}"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", SLOW, ids=named)
def test_a_page_works_with_what_is_slow(page: Path, tmp_path: Path) -> None:
    Follower(page, tmp_path, whole=True).follow()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text("utf-8"))
    targets = [(page.parent / link if link else page, anchor) for link, anchor in links]
    assert [str(target) for target, _ in targets if not target.exists()] == []
    assert [anchor for target, anchor in targets if anchor and anchor not in anchors(target)] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_files_that_a_page_speaks_of_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    files = re.findall(r"(?<![\w./])((?:nas|search_spaces|experiments|docs|tests)/[\w/]+\.\w+)", text)
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_picture_is_shown() -> None:
    shown = {name for page in PAGES for name in re.findall(r"\]\([^)]*pictures/([^)]*)\)", page.read_text("utf-8"))}
    assert shown == {picture.name for picture in (ROOT / "docs" / "pictures").iterdir()}


def anchors(page: Path) -> set[str]:
    """Return what GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```\nnas list\n```", "it has no language"),
        ("```rust\nfn\n```", "'rust' is none of"),
        ("~~~sh\nnas list\n~~~", "line 1: ~~~sh: code stands between"),
        ("> ```sh\n> nas list\n> ```", "line 1: > ```sh"),
        ("As in\n\n    nas list", "line 3: nas list: code"),
        ("<!--\n```sh\nnas serch\n```\n-->", "line 1: <!--"),
        ("```sh\nnas list", "has no end"),
        ("```console\n$ nas list\nspaces\n```", "in a block of its own"),
        ("Say `make teste`.", "make has no target teste"),
        ("<!-- perhaps: later -->\n```sh\nnas list\n```", "is no note"),
        ("```python\nprint(1 / 0)\n```", "ZeroDivisionError"),
        ("```python\nimport math\nmath.pi  # 3.15, or so\n```", "math.pi gives 3.14159.*, not 3.15"),
        ("```python\nprint(1_234)  # 1,243 of them\n```", "gives 1234, not 1,243"),
        ("```sh\nnas list --sorted\n```", "exit code 2"),
        ("```sh\ntest -f nothing\n```", "test -f nothing"),
        ("```text\nout\n```", "nothing was: say not run"),
        ("```sh\npip install x\n```", "pip is none of what tests run"),
        ("```python\nprint(3)\n```\n```text\n4\n```", "the page shows\n4\n\nand what is printed is\n3"),
        ("```yaml\nspace: dart\nsupernet: {method: Darts, data: Digits}\n```", "there is no space 'dart'"),
        ("```yaml\nimages: 3\n```", "neither an experiment"),
        ("Say `nas serch`.", "there is no command serch"),
        ("<!-- not run: long -->\n```sh\nnas search x.yaml --worker 2\n```", "No such option: --worker"),
        ("<!-- not run: long -->\n```sh\nnas search experiments/quickstart.yaml rules.sed=1\n```", "did you mean 'seed'"),
        ("<!-- not run: long -->\n```sh\nA=1 nas train darts:DARTS_V3 --recipe darts_cifar\n```", "did you mean 'DARTS_V2'"),
        ("<!-- not run: long -->\n```sh\nnas train darts:DARTS_V2 --recipe dart_cifar\n```", "there is no recipe"),
        ("<!-- not run: long -->\n```sh\nray exec x 'cd y; nas resume runs/x space=bits'\n```", "cannot be changed"),
        ("<!-- not run: long -->\n```sh\ncat docs/nothing.md && make teste\n```", "there is no docs/nothing.md"),
        ("<!-- not run: long -->\n```sh\nmake teste\n```", "make has no target teste"),
        ("<!-- slow: long -->\n```python\nprint(\n```", "SyntaxError"),
    ],
)  # fmt: skip
def test_what_does_not_work_is_found(text: str, said: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BlockError, match=said):
        Follower(page, tmp_path / "folder").follow()


def test_files_processes_and_output_are_as_a_reader_takes_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Write `pkg/own.py`:\n\n```python\nsix = 6\n```\n"
        "```python\nfrom pkg.own import six\nsix * 7  # 42 as one knows\nkept = 1\n```\n"
        "```python\nkept + 1  # 2\n```\n"
        "```sh\npython pkg/own.py\nPYTHONPATH=. nas list  recipes\n```\n"
        "```text\nrecipes\n...darts_cifar...\n```\n"
        "<!-- varies: it does -->\n```text\n...evaluation of AmoebaNet-A\n...CIFAR-12...\n```\n"
        "<!-- slow: sleeps -->\n```sh\nsleep 100\n```\n```text\nnothing\n```\n",
        encoding="utf-8",
    )
    (tmp_path / "folder").mkdir()
    Follower(page, tmp_path / "folder").follow()
    assert (tmp_path / "folder" / "pkg" / "own.py").read_text() == "six = 6\n"


@pytest.mark.parametrize(
    ("shown", "is_shown"),
    [
        ("a\n...\nb 1", True),
        ("a\n...\nx\n...\nb 1", True),
        ("...\na\nx\nb 1\n...", True),
        ("a\nx\nb ...", True),
        ("...", True),
        ("a\nb 1", False),
        ("a\n...\nx", False),
        ("...\nb 2", False),
    ],
)
def test_dots_stand_for_anything_and_alone_for_no_line_too(shown: str, is_shown: bool) -> None:
    assert matches(shown, "a\nx\nb 1") == is_shown
