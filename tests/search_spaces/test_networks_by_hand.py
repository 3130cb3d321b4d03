"""Networks made by hand have the parameters and multiply-adds that were published: one table a family, in `networks`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.family import families, family
from nas.notation import notation, parse
from nas.profiling import profile

TABLES = sorted((Path(__file__).parent / "networks").glob("*.yaml"))


@dataclass(frozen=True)
class Published:
    """What was published of a network: exact parameters, or rounded ones in millions; giga multiply-adds."""

    params: int | None = None
    params_m: float | None = None
    tolerance_m: float = 0.0
    gmacs: float | None = None
    tolerance_gmacs: float | None = None
    network: dict[str, Any] = field(default_factory=dict)
    input: tuple[int, int, int] | None = None


ROWS = [(path.stem, name, row) for path in TABLES for name, row in yaml.safe_load(path.read_text("utf-8")).items()]


DEEPEST = ("resnet1202_cifar", "preresnet1001_cifar", "preresnet200", "se_shufflenet_v2_164", "shufflenet_v2_large")
"""Networks that take seconds to build."""

FEW = {"densenet": 1, "efficientnet": 1, "nasnet": 1, "polynet": 1, "regnet": 1, "randwire": 1}
"""The number of networks of a family that the normal run has, the first of its table: by default two."""

MEMBERS = {name: [row[1] for row in ROWS if row[0] == name] for name in {name for name, *_ in ROWS}}


def is_slow(name: str, member: str) -> bool:
    """Whether the normal run leaves a network out."""
    return member in DEEPEST or MEMBERS[name].index(member) >= FEW.get(name, 2)


@pytest.mark.parametrize(
    ("name", "member", "row"),
    [pytest.param(*row, id=":".join(row[:2]), marks=[pytest.mark.slow] * is_slow(*row[:2])) for row in ROWS],
)
def test_a_network_costs_what_was_published(name: str, member: str, row: dict[str, Any]) -> None:
    found, published, (member, *_) = family(name), Published(**row), member.split("/")
    network = found.network(found.published[member], **found.network_arguments(published.network, ""))
    costs = profile(network, tuple(published.input or found.input_of(member)))
    if published.params is not None:
        assert costs.params == published.params
    if published.params_m is not None:
        assert costs.params / 1e6 == pytest.approx(published.params_m, abs=published.tolerance_m)
    if published.gmacs is not None:
        tolerance = published.tolerance_gmacs or 0.005 * published.gmacs
        assert costs.macs / 1e9 == pytest.approx(published.gmacs, abs=tolerance)
    assert {published.params, published.params_m} != {None}


def test_every_network_made_by_hand_has_a_row() -> None:
    made = {f"{name}:{member}" for name, found in families().items() for member in found.published}
    cells = {"darts", "nasbench201", "nasnet"}  # counted in test_published_counts.py
    listed = {f"{name}:{member.split('/')[0]}" for name, member, _ in ROWS}
    assert {each for each in made if each.split(":")[0] not in cells} <= listed


@pytest.mark.parametrize("name", families())
def test_spaces_and_networks_come_back_from_their_notation(name: str) -> None:
    found = families()[name]
    for tree in (found.space(), *found.published.values()):
        assert parse(notation(tree)) == tree
