"""Drawings: read back as a reader's program would, and measured with a font: nothing overlaps, all is named, all is legible."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from html import unescape
from itertools import combinations, pairwise
from pathlib import Path
from random import Random
from shutil import which
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from nas.building import BuildError, Node, Site, build
from nas.drawing import dot, draw, draw_change, to_png
from nas.drawing.pages import page_of
from nas.drawing.png import FONTS
from nas.drawing.sketch import Levels
from nas.drawing.svg import LEGEND, PAINTS
from nas.family import families, published
from nas.labels import operation_label
from nas.layers.conv import ConvNormAct
from nas.notation import parse
from nas.operations.separable import SepConv
from nas.records import RecordError, record
from nas.space import mutate, one_of, sample
from nas.topology.branches import Branches
from nas.topology.cell import Cells
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.topology.residual import Residual
from nas.topology.wired import Wired
from search_spaces import darts, macro, nasbench101, nasbench201, nasnet
from search_spaces.bits import bits

FRAMES = {"page", "card", "frame", "open", "track"}
DARTS_V2 = darts.PUBLISHED["DARTS_V2"]
TUPLES = one_of("body", [(ConvNormAct(3), SepConv(5)), (SepConv(3),)])


@record
class Framed(Node):
    """Hold nodes, as a class that a user writes."""

    body: Node
    others: tuple[Node, ...]
    amount: float = 0.5

    def build(self, site: Site) -> torch.nn.Module:
        """Never called: a drawing builds nothing unless it is given an input."""
        raise NotImplementedError


@dataclass(frozen=True)
class Rect:
    """A rectangle of a picture; `role` is its class without the prefix."""

    x: float
    y: float
    width: float
    height: float
    role: str

    def holds(self, other: Rect) -> bool:
        right, bottom = other.x + other.width, other.y + other.height
        inside = other.x >= self.x - 0.2 and other.y >= self.y - 0.2
        return inside and right <= self.x + self.width + 0.2 and bottom <= self.y + self.height + 0.2

    def meets(self, other: Rect) -> bool:
        beside = other.x >= self.x + self.width - 0.2 or self.x >= other.x + other.width - 0.2
        return not (beside or other.y >= self.y + self.height - 0.2 or self.y >= other.y + other.height - 0.2)

    def has(self, x: float, y: float, margin: float = 0.0) -> bool:
        across = self.x + margin < x < self.x + self.width - margin
        return across and self.y + margin < y < self.y + self.height - margin


def plain(text: str | None) -> str:
    """Return a text with the signs that a keyboard has."""
    return (text or "").replace("\N{MULTIPLICATION SIGN}", "x").replace("\N{MINUS SIGN}", "-")


class Picture:
    """What stands in an SVG text."""

    def __init__(self, text: str | None) -> None:
        assert text is not None
        self.rects: list[Rect] = []
        self.texts: list[tuple[ElementTree.Element, ElementTree.Element]] = []
        self.paths: list[str] = []
        for group in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}g"):
            role = group.get("class", "").removeprefix("nas-")
            for each in group:
                tag = each.tag.rpartition("}")[2]
                if tag == "rect":
                    x, y, width, height = (float(each.get(name, "0")) for name in ("x", "y", "width", "height"))
                    self.rects.append(Rect(x, y, width, height, role))
                elif tag == "text":
                    self.texts.append((group, each))
                elif "tip" not in role:
                    self.paths.append(each.get("d", ""))
        self.words = [plain(each.text) for _, each in self.texts]

    def boxes(self) -> list[Rect]:
        """Return what lines must go round: rectangles that hold no others save swatches."""
        large = [rect for rect in self.rects if rect.width > 16 and "sign" not in rect.role]
        return [
            rect
            for rect in large
            if rect.role not in FRAMES - {"open"}
            and not any(other is not rect and rect.holds(other) for other in large)
        ]


def points(path: str) -> Iterator[tuple[float, float]]:
    """Yield points along a path of straight lines and cubic curves."""
    at = (0.0, 0.0)
    for letter, numbers in re.findall(r"([MLC])([^MLC]*)", path):
        values = [float(each) for each in numbers.split()]
        corners = [at, *zip(values[::2], values[1::2], strict=True)]
        if letter != "M":
            for i in range(21):
                yield _between(corners, i / 20)
        at = corners[-1]


def _between(corners: list[tuple[float, float]], t: float) -> tuple[float, float]:
    """Return a point of a Bezier curve, by de Casteljau's construction."""
    while len(corners) > 1:
        corners = [(a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t) for a, b in pairwise(corners)]
    return corners[0]


def published_cells() -> dict[str, Any]:
    known = {
        name: family.published for name, family in families().items() if name in ("darts", "nasnet", "nasbench201")
    }
    return {f"{family}:{name}": cell for family, cells in known.items() for name, cell in cells.items()}


def _published(name: str) -> Any:
    return published(name)[1]


FORMS: dict[str, Callable[[], str | None]] = {
    **{name: partial(draw, cell) for name, cell in published_cells().items()},
    "hierarchical": lambda: draw(sample(families()["hierarchical"].space(), Random(1))),
    "darts space": lambda: draw(darts.darts()),
    "nasbench201 space": lambda: draw(nasbench201.nasbench201()),
    "nasnet space": lambda: draw(nasnet.family.space()),
    "macro space": lambda: draw(macro.macro()),
    "macro": lambda: draw(sample(macro.macro(), Random(5)), (3, 32, 32)),
    "resnet50": lambda: draw(_published("resnet:resnet50"), (3, 224, 224)),
    "inception": lambda: draw(_published("inception:inception_v4")),
    "densenet": lambda: draw(_published("densenet:densenet121")),
    "dual path": lambda: draw(_published("dpn:dpn68")),
    "wired": lambda: draw(_published("randwire:randwire_small")),
    "darts network": lambda: draw(darts.network(DARTS_V2, layers=8, auxiliary=True), (3, 32, 32)),
    "mutation": lambda: draw_change(DARTS_V2, mutate(darts.darts(), DARTS_V2, Random(2))),
    "other cells": lambda: draw_change(DARTS_V2, darts.PUBLISHED["DARTS_V1"]),
    "open series": lambda: draw(Stage(Chain(TUPLES), channels=8)),
    "open paths": lambda: draw(Branches(TUPLES)),
    "open stages": lambda: draw(Network(ConvNormAct(3), TUPLES, Classifier(10))),
    "user's": lambda: draw(Framed(ConvNormAct(3), (SepConv(3), SepConv(5)), 0.7)),
}
"""A picture of every form."""


@cache
def picture(name: str) -> str:
    text = FORMS[name]()
    assert text is not None
    return text


@cache
def picture_of(name: str) -> Picture:
    return Picture(picture(name))


@pytest.mark.parametrize("name", FORMS)
def test_boxes_do_not_overlap(name: str) -> None:
    rects = [rect for rect in picture_of(name).rects if "sign" not in rect.role]
    for one, other in combinations(rects, 2):
        if one.meets(other):
            outer = one if one.holds(other) else other
            assert outer.holds(one), (one, other)
            assert outer.holds(other), (one, other)
            assert outer.role in FRAMES, (one, other)


@pytest.mark.parametrize("name", FORMS)
def test_lines_go_round_boxes(name: str) -> None:
    seen = picture_of(name)
    boxes = seen.boxes()
    assert boxes
    for path in seen.paths:
        for x, y in points(path):
            assert not any(box.has(x, y, 1.0) for box in boxes), (path, [box for box in boxes if box.has(x, y, 1.0)])


@pytest.mark.parametrize("name", FORMS)
def test_text_stays_in_its_box_and_in_the_picture(name: str) -> None:
    """Measured in DejaVu Sans, the widest of the usual fonts."""
    fonts = pytest.importorskip("PIL.ImageFont", reason="pip install pillow")
    ruler = fonts.truetype(next(font for font in FONTS if font.stem == "DejaVuSans"), 1000)
    seen = picture_of(name)
    page = next(rect for rect in seen.rects if rect.role == "page")
    for group, each in seen.texts:
        size, x = float(group.get("font-size", "0")), float(each.get("x", "0"))
        y = float(each.get("y", "0")) - 0.35 * size
        width = ruler.getlength(each.text) / 1000 * size
        left = x - width * {"start": 0.0, "middle": 0.5}[group.get("text-anchor", "start")]
        around = [rect for rect in seen.rects if rect.has(x + 0.1, y) and rect.width > 16]
        box = min(around, key=lambda rect: rect.width * rect.height, default=page)
        assert left >= box.x, (each.text, box)
        assert left + width <= box.x + box.width, (each.text, width, box)


NAMES = {
    "SepConv": "sep_conv_{0}x{0}",
    "DilConv": "dil_conv_{0}x{0}",
    "MaxPool": "max_pool_{0}x{0}",
    "AvgPool": "avg_pool_{0}x{0}",
    "Conv": "nor_conv_{0}x{0}",
    "AsymmetricConv": "conv_{0}x1_1x{0}",
    "Skip": "skip_connect",
    "Zero": "none",
}


@pytest.mark.parametrize("name", published_cells())
def test_a_cell_shows_each_of_its_operations(name: str) -> None:
    cells = published_cells()[name]
    texts = picture_of(name).texts
    drawn = Counter(plain(each.text) for group, each in texts if group.get("font-size") == "12")
    wanted: Counter[str] = Counter()
    for cell in (cells.normal, cells.reduction) if isinstance(cells, Cells) else (cells,):
        for edge in (edge for node in cell.nodes for edge in node):
            kernel = getattr(edge.operation, "kernel", "")
            wanted[NAMES[type(edge.operation).__name__].format(kernel)] += 1
    assert {word: drawn[word] for word in wanted} == wanted


def leaves(tree: Any) -> Iterator[Any]:
    """Yield the nodes of a tree that hold no others."""
    if isinstance(tree, tuple):
        for part in tree:
            yield from leaves(part)
    elif is_dataclass(tree):
        node: Any = tree
        inside = (
            getattr(node, each.name) for each in fields(node) if each.name not in ("activation", "gate", "auxiliary")
        )
        held = list(leaves(tuple(inside)))
        yield from held or ([node] if isinstance(node, Node) else [])


FIRST = [name for name, family in families().items() if family.published and name not in ("activation", "nasbench201")]


@pytest.mark.parametrize("name", FIRST)
def test_a_network_of_every_family_is_drawn_and_names_what_it_is_made_of(name: str) -> None:
    network = next(iter(families()[name].published.values()))
    said = " ".join(Picture(draw(network)).words)
    for leaf in leaves(network):
        assert operation_label(leaf) in said, leaf
    assert dot(network).startswith("digraph")


@pytest.mark.slow
@pytest.mark.parametrize("name", families())
def test_every_published_network_and_space_is_drawn(name: str) -> None:
    family = families()[name]
    for tree in (*family.published.values(), family.space()):
        assert (draw(tree) is None) == (name == "bits")


def test_the_numbers_beside_a_network_are_those_of_its_modules() -> None:
    network = published("resnet:resnet50")[1]
    page = page_of(network, (3, 224, 224))
    assert page is not None
    table = page.panels[0].part
    assert isinstance(table, Levels)
    with torch.device("meta"):
        module: Any = build(network, (3, 224, 224))
    counts = [sum(each.numel() for each in part.parameters()) for part in (module.stem, *module.layers, module.head)]
    stages = [sum(counts[1 + start : 1 + end]) for start, end in pairwise((0, 3, 7, 13, 16))]
    assert [level.params for level in table.levels] == [counts[0], *stages, counts[-1]]
    assert sum(level.params or 0 for level in table.levels) == 25_557_032  # as torchvision's
    sizes = [plain(level.output).split(" x ") for level in table.levels]
    assert sizes[1:-1] == [["256", "56", "56"], ["512", "28", "28"], ["1024", "14", "14"], ["2048", "7", "7"]]
    assert [level.repeat[2:] for level in table.levels] == ["", "3", "4", "6", "3", ""]
    with pytest.raises(BuildError):
        draw(parse('conv3(padding="valid")'), (3, 2, 2))


def test_a_change_of_one_operation_strikes_one_out_and_adds_one() -> None:
    before = nasbench201.from_string("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|")
    after = nasbench201.from_string("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|")
    seen = Picture(draw_change(before, after))
    struck = [plain(each.text) for group, each in seen.texts if group.get("text-decoration") == "line-through"]
    assert struck == ["avg_pool_3x3"]
    assert Counter(rect.role for rect in seen.rects if rect.role in ("sign-gone", "sign-came")) == {
        "sign-gone": 1,
        "sign-came": 1,
    }
    assert [word for word in seen.words if word in ("+", "-")] == ["-", "+"]
    same = Picture(draw_change(after, after))
    assert not {"gone", "came"} & set(same.words)
    assert draw_change(after, after) == draw(after)


def test_a_change_of_a_network_shows_what_stays_once() -> None:
    before = parse("network(stem=conv3-16, head=classifier(classes=10))[residual[conv3 conv3] x2-32, conv5-64/2]")
    after = parse("network(stem=conv3-16, head=classifier(classes=10))[residual[conv3 sep_conv5] x3-32, conv5-64/2]")
    words = Picture(draw_change(before, after)).words
    assert words.count("conv_5x5") == 1
    assert words.count("sep_conv_5x5") == 1
    assert "x 2 → x 3" in words
    shorter = parse("network(stem=conv3-16, head=classifier(classes=10))[residual[conv3 conv3] x2-32]")
    struck = [plain(each.text) for group, each in Picture(draw_change(before, shorter)).texts
              if group.get("text-decoration") == "line-through"]  # fmt: skip
    assert struck == ["conv_5x5", "64 channels, stride 2"]


def test_a_stage_that_came_first_leaves_the_others_as_they_are() -> None:
    network = "network(stem=conv3-16, head=classifier(classes=10))"
    seen = Picture(draw_change(parse(f"{network}[conv5, sep_conv3]"), parse(f"{network}[conv7, conv5, sep_conv3]")))
    assert sum(rect.role.startswith("sign") for rect in seen.rects) == 1
    assert [seen.words.count(word) for word in ("conv_7x7", "conv_5x5", "sep_conv_3x3")] == [1, 1, 1]


def test_equal_stages_in_a_row_are_drawn_once_unless_each_halves_the_size() -> None:
    network = "network(stem=conv3-16, head=classifier(classes=10))"
    words = Picture(draw(parse(f"{network}[conv5, conv5, conv5]"))).words
    assert (words.count("conv_5x5"), words.count("x 3")) == (1, 1)
    words = Picture(draw(parse(f"{network}[conv5 x2-16/2, conv5 x2-16/2]"))).words
    assert (words.count("conv_5x5"), words.count("x 2")) == (2, 2)


def test_what_is_open_is_dashed_and_lists_its_options() -> None:
    words = Picture(picture("nasbench201 space")).words
    assert Counter(word for word in words if "one of" in word) == {
        f"{i}-{j}: one of 5": 1 for i, j in ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    }
    assert words.count("nor_conv_1x1") == 6
    words = Picture(picture("darts space")).words
    assert sum("one of A" in word for word in words) == 28
    assert words.count("sep_conv_3x3") == 1
    assert words.count("2 of 5") == 2
    assert 'stroke-dasharray="5 4"' in picture("darts space")
    depth = Picture(draw(macro.macro(stages=1))).words
    assert "dense, x (1 | 2 | 3)" in depth


@pytest.mark.parametrize(("form", "times"), [("open series", 0), ("open paths", 2), ("open stages", 0)])
def test_a_choice_among_tuples_of_nodes_is_drawn_by_its_options(form: str, times: int) -> None:
    words = Picture(picture(form)).words
    assert words.count("body: one of 2") == 1
    assert {"sep_conv_5x5", "sep_conv_3x3"} <= set(words)
    assert words.count("concat") == times
    assert draw(TUPLES) == draw(Chain(TUPLES)), "a tuple by itself is a series"
    assert "no nodes" in Picture(draw(Chain(one_of("body", [(ConvNormAct(3),), ()])))).words


def test_a_node_of_a_users_own_is_drawn_with_what_it_holds() -> None:
    words = Picture(picture("user's")).words
    assert {"framed, amount 0.7", "conv_3x3", "sep_conv_3x3", "sep_conv_5x5"} <= set(words)
    assert draw(bits()) is None
    assert draw(one_of("depth", [1, 2])) is None
    with pytest.raises(RecordError, match="holds no nodes"):
        dot(bits())


def _random_tree(size: int, rng: Random) -> Node:
    if size < 2:
        return ConvNormAct(rng.choice((1, 3, 5)), rng.randrange(1, 999))
    first = rng.randrange(1, size)
    one, other = _random_tree(first, rng), _random_tree(size - first, rng)
    return Chain((one, other)) if rng.random() < 0.6 else Residual(one, other)


def test_large_trees_stay_small_pictures() -> None:
    assert len(draw(_random_tree(500, Random(0))) or "") < 2_000_000
    assert len(draw(Chain((ConvNormAct(3),) * 1000)) or "") < 10_000
    deep: Node = ConvNormAct(3)
    for width in range(1, 60):
        deep = Residual(deep, ConvNormAct(1, width))
    assert "…" in Picture(draw(deep)).words
    assert len(draw(Wired(SepConv(3), 100)) or "") < 300_000


def test_a_free_graph_is_drawn_without_the_vertices_that_are_not_built() -> None:
    picture = Picture(draw(nasbench101.from_string("1101001001:conv3x3,maxpool3x3,conv1x1")))
    assert "conv_3x3" in picture.words
    assert {"max_pool_3x3", "conv_1x1"}.isdisjoint(picture.words)


PROGRAM = """
import hashlib
from nas.drawing import draw, dot
from search_spaces import darts, macro
trees = (darts.PUBLISHED["DARTS_V2"], darts.darts(), macro.macro())
print(hashlib.sha256("".join((draw(tree) or "") + dot(tree) for tree in trees).encode()).hexdigest())
"""


@pytest.mark.slow
def test_the_same_tree_gives_the_same_bytes_elsewhere_and_without_graphviz(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    other = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    ).stdout
    with io.StringIO() as here:
        exec(PROGRAM, {"print": lambda text: here.write(f"{text}\n")})
        assert here.getvalue() == other


def test_graphviz_reads_what_is_written_for_it() -> None:
    if which("dot") is None:
        pytest.skip("graphviz is not installed: apt install graphviz")
    odd = one_of('a "b\\" \\n <c> {d|e}', [SepConv(3), SepConv(5)])
    for tree, word in ((odd, f"{odd.name}: one of 2"), (DARTS_V2, "dil_conv_3x3"), (macro.macro(), "concat")):  # type: ignore[attr-defined]
        made = subprocess.run(["dot", "-Tsvg"], input=dot(tree), capture_output=True, text=True, check=True)
        assert made.stderr == ""
        texts = [plain(unescape(text)).replace("\xa0", " ") for text in re.findall(r">([^<]+)</text>", made.stdout)]
        assert word in texts
    cell = DARTS_V2.normal
    lines = dot(cell).splitlines()
    assert sum("->" in line for line in lines) == 2 * sum(map(len, cell.nodes)) + len(cell.concatenated())


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2.2)."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_and_borders_stand_out(dark: bool) -> None:
    fills = {role: paint.of(dark)[0] for role, paint in PAINTS.items()}
    strokes = {role: paint.of(dark)[1] for role, paint in PAINTS.items()}
    for role in (*LEGEND, "gone", "came", "state", "open"):
        assert contrast(fills["ink"], fills[role]) >= 4.5, role
        assert contrast(strokes[role], fills["page"]) >= 3, role
    for text in ("ink", "pale", "changed"):
        assert all(contrast(fills[text], fills[ground]) >= 4.5 for ground in ("page", "card", "frame")), text
    for mark in ("gone", "came"):
        assert contrast(fills["on sign"], fills[f"sign {mark}"]) >= 4.5
    for role in (role for role in PAINTS if role.startswith("line")):
        assert contrast(strokes[role], fills["card"]) >= 3, role


def test_pictures_can_stand_side_by_side_on_a_page() -> None:
    """Inline SVG shares names and styles with the page around it."""
    text = draw(DARTS_V2) or ""
    assert " id=" not in text
    rules = re.search(r"<style>@media \(prefers-color-scheme:dark\)\{(.*)\}</style>", text)
    assert rules is not None
    assert all(rule.startswith(".nas-drawing-auto .nas-") for rule in rules[1].split("}") if rule)
    for theme, page in (("light", "#ffffff"), ("dark", "#12161d")):
        fixed = draw(DARTS_V2, theme=theme) or ""  # type: ignore[arg-type]
        assert "<style>" not in fixed
        assert f'fill="{page}"' in fixed


@pytest.mark.parametrize("dark", [False, True])
def test_png_shows_either_theme(dark: bool, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="pip install 'cellstack[export]'")
    images = pytest.importorskip("PIL.Image", reason="pip install pillow")
    text = draw(DARTS_V2.normal) or ""
    path = to_png(text, tmp_path / "cell.png", scale=1.5, dark=dark)
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', text)
    assert size is not None
    with images.open(path) as image:
        assert image.size == pytest.approx([1.5 * float(each) for each in size.groups()], abs=1)
        pixels = image.convert("RGB")
        assert pixels.getpixel((3, 3)) == ((0x12, 0x16, 0x1D) if dark else (255, 255, 255))
        wanted = (0x16, 0x30, 0x5E) if dark else (0xDC, 0xE8, 0xFD)
        assert wanted in {colour for _, colour in pixels.getcolors(1 << 20)}
