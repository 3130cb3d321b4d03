"""docs/catalogue.md is what the code says; counting all networks is a slow test, a few of them are not."""

from __future__ import annotations

import re

import pytest
from catalogue import PAGE, catalogue, network_rows, parts

from nas.family import families

MEND = "write the page anew: make catalogue"

COUNTED = ("lenet:lenet5", "squeezenet:squeezenet1_1", "nasbench201:resnet", "resnet:resnet18")


def sections_of(text: str) -> dict[str, str]:
    """Return the texts of a page by their titles."""
    return dict(re.findall(r"^## (.*?)\n\n(.*?)(?=\n## |\Z)", text, re.DOTALL | re.MULTILINE))


def test_the_catalogue_has_what_the_code_has() -> None:
    written, now = sections_of(PAGE.read_text("utf-8")), dict(parts(counted=COUNTED))
    assert written.keys() == now.keys(), MEND
    for title in written.keys() - {"Networks"}:
        assert written[title].strip() == now[title].strip(), MEND


def test_the_catalogue_has_every_published_network_and_its_costs() -> None:
    rows = {row.split("`")[1]: row for row in PAGE.read_text("utf-8").splitlines() if re.match(r"\| `\w+:", row)}
    assert list(rows) == [f"{name}:{member}" for name, found in families().items() for member in found.published], MEND
    for row in network_rows(COUNTED):
        assert rows[row.split("`")[1]] == row, MEND


@pytest.mark.slow
def test_the_catalogue_is_as_the_code_writes_it() -> None:
    assert PAGE.read_text("utf-8") == catalogue(), MEND
