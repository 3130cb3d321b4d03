"""Reading of architectures, from files or as typed text, in the forms of this library and of others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import yaml

from nas.building import Node, inputs_of
from nas.choice import is_open
from nas.evaluation.candidate import architecture_of
from nas.family import Family, OtherForm, StackedNetwork, families, family
from nas.fields import shown
from nas.foreign import foreigns
from nas.literal import literal
from nas.modules import FAMILY, SlicedModule
from nas.notation import parse
from nas.plain import read
from nas.records import RecordError, classes, import_all, nearest, one_line
from nas.space import sample

TYPED = "macro"
"""The family of a tree that no other family reads: its members are whole networks, as that tree is."""

FRONT = "front.json"
"""The file of a run's Pareto front."""

NAMES = {StackedNetwork.__name__, *StackedNetwork.formerly}
"""The names, now and formerly, of the record in a run folder's architecture files, which identify such a file."""

RECIPE = re.compile(r"  \w+(\.\w+)+ \S+(, \w+(\.\w+)+ \S+)*$")
"""The end of a candidate's text in a joint search: two spaces, and choices of its recipe, as `recipe.lr 0.1`."""

FORMS = (
    "a tree in notation, the text of a cell as nas show prints it, a genotype, or a JSON or YAML file of any of these"
)


def read_found(path: Path) -> StackedNetwork:
    """Return the architecture or space in a file. Raises RecordError, naming the file, where it holds neither."""
    _import_nodes()
    content = _content(path)
    try:
        return read_text(content) if isinstance(content, str) else read_content(content)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def read_front(path: Path) -> list[StackedNetwork]:
    """Return the members of a Pareto front. Raises RecordError, naming the file, where it holds none."""
    _import_nodes()
    content = _content(path)
    members = content.get("front") if isinstance(content, dict) else None
    if not isinstance(members, list):
        raise RecordError(f"{path} is no front of a run: nas resume {path.parent} writes it again")
    try:
        return [read_content(member) for member in members]
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def read_description_of(weights: Path, text: str) -> StackedNetwork:
    """Return the network that the JSON inside a weights file describes. Raises RecordError where it is damaged."""
    _import_nodes()
    try:
        return read_content(json.loads(text))
    except ValueError as error:
        reason = one_line(error)
        raise RecordError(f"{weights} has a damaged description ({reason}): restore the file") from None


def _import_nodes() -> None:
    for package in ("nas.layers", "nas.operations", "nas.topology", "nas.modules"):
        import_all(package)


def _content(path: Path) -> Any:
    """Return the content of a file: plain data for JSON and YAML, text for any other."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return json.loads(text)
        return yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else text.strip()
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        repair = f"nas resume {path.parent} writes it again" if path.name in ("best.json", FRONT) else f"give {FORMS}"
        reason = one_line(error)[:160]
        raise RecordError(f"{path} cannot be read as an architecture ({reason}): {repair}") from None


def read_text(text: str) -> StackedNetwork:
    """Return the architecture or space that a text spells out. Raises RecordError, with the reason, where there is neither."""
    _import_nodes()
    text = RECIPE.sub("", text)
    # from the most specific form to the most general, which is notation
    content = _literal(text)
    if _is_recognised(content):
        return read_content(content)
    if (member := read_member(text)) is not None:
        return member
    by_family = _read_by_families(text)
    # a word, a colon and a parenthesis begin the text of a cell
    if by_family is None and re.match(r"\s*[a-z]\w*:\s*\(", text):
        raise RecordError(f"{shown(text)} has operations of no family: give the text of a cell as nas show prints it")
    return by_family if by_family is not None else of_tree(parse(text))


def _literal(text: str) -> Any:
    """Return the value of a text that is a JSON or Python literal; any other text as it is."""
    try:
        return literal(text)
    except ValueError:
        return text


def is_text(text: str) -> bool:
    """Return whether a text is meant to spell out an architecture, even a damaged one, rather than to name it."""
    if set("[{( |") & set(text) or _is_recognised(_literal(text)):
        return True
    try:
        read_text(text)
    except RecordError:
        return False
    return True


def _read_by_families(text: str) -> StackedNetwork | None:
    """Return the architecture that a family reads in a text of its form; None where it has the form of no family.

    Raises RecordError where the text is damaged, or more than one family reads it.
    """
    read: dict[str, StackedNetwork] = {}
    failures: list[RecordError] = []
    for name, known in families().items():
        # a family without its own text form reads notation, as `of_tree` does in the end
        if known.parse is parse:
            continue
        try:
            read[name] = StackedNetwork(name, known.parse(text), input=known.input)
        except OtherForm:
            continue
        except RecordError as error:
            failures.append(error)
    if len(read) > 1:
        raise RecordError(
            f"{shown(text)} can be read as one of {' and of '.join(read)}: give the space, "
            f"as {next(iter(read))}:{text[:20]}..."
        )
    if not read and failures:
        # the error of the family with the closest reading, one that has a suggestion
        raise min(failures, key=lambda error: "did you mean" not in str(error))
    return next(iter(read.values()), None)


def _is_recognised(content: Any) -> bool:
    if isinstance(content, Mapping) and {"event", "cellstack", *NAMES} & content.keys():
        return True
    return _is_record(content) or any(each.recognises(content) for each in foreigns().values())


def _is_record(content: Any) -> bool:
    return isinstance(content, Mapping) and len(content) == 1 and next(iter(content)) in classes


def read_content(content: Any) -> StackedNetwork:
    """Return the architecture in plain data: a run's file, a line of a journal, a bare tree, or another library's form.

    Raises RecordError, with the reason, where it holds none.
    """
    if isinstance(content, Mapping):
        bare = {key: value for key, value in content.items() if key != "cellstack"}
        if NAMES & bare.keys():
            return _read_whole(content)
        if "event" in content:
            return _read_event(content)
        if _is_record(bare):
            return of_tree(read(content, ""))
    for each in foreigns().values():
        if each.recognises(content):
            return each.read(content)
    if isinstance(content, str):
        return read_text(content)
    raise RecordError(f"{shown(content)} is no architecture: give {FORMS}")


def _read_whole(content: Mapping[str, Any]) -> StackedNetwork:
    """Read an architecture with its family, in the form that runs write."""
    inner = next(content[name] for name in NAMES if name in content)
    if isinstance(inner, Mapping) and isinstance(name := inner.get("family"), str):
        family(name)  # imports the user's own space, whose records the file may contain
    found: StackedNetwork = read(content, "", StackedNetwork)
    known = family(found.family)
    try:
        if not is_open(found.architecture):
            known.describe(found.architecture)
    except (AttributeError, TypeError, KeyError):
        what = type(found.architecture).__name__
        raise RecordError(
            f"StackedNetwork.architecture is a {what}, which is not of the space {found.family}: give another family"
        ) from None
    return found


def _read_event(event: Mapping[str, Any]) -> StackedNetwork:
    if "architecture" not in event:
        raise RecordError(
            f"the line of the journal is the {event['event']} of evaluation {event.get('number')}: give the line of its start, "
            f"or RUN#{event.get('number')}"
        )
    return of_tree(read(event["architecture"], ""))


def of_tree(tree: Any) -> StackedNetwork:
    """Return a tree, closed or open, with the family whose text form reads it back; without one, with the family of any network.

    Raises RecordError where the tree is not a network either.
    """
    tree = architecture_of(tree)
    member, name = _member(tree), family_of(tree)
    if isinstance(tree, SlicedModule):
        return StackedNetwork(name, tree, input=tree.input)
    if name != TYPED:
        return StackedNetwork(name, tree, input=family(name).input)
    if not isinstance(member, Node):
        raise RecordError(f"{shown(tree)} is no node: type one in notation, as residual[conv3-64 x2] x3")
    if inputs_of(member) == 2:
        what = type(member).__name__
        raise RecordError(
            f"{what} reads the outputs of two layers and is no network by itself: give Cells, as darts has them"
        )
    return StackedNetwork(TYPED, tree)


def family_of(tree: Any) -> str:
    """Return the name of the family whose text form reads a tree back; without one, of the family of any network."""
    member = _member(tree)
    if isinstance(member, SlicedModule):
        return FAMILY
    return next(
        (name for name, known in families().items() if known.parse is not parse and _is_of(known, member)), TYPED
    )


def _member(tree: Any) -> Any:
    """Return a member of a space, which shows its family; an architecture as it is."""
    return sample(tree, Random(0)) if is_open(tree) else tree


def _is_of(known: Family, member: Any) -> bool:
    """Return whether a family's text of a tree is read back as the same tree."""
    try:
        return bool(known.parse(known.describe(member)) == member)
    except (RecordError, AttributeError, TypeError, KeyError, IndexError):
        return False


def read_member(text: str) -> StackedNetwork | None:
    """Return the member of a family that a text such as darts:DARTS_V2 names; None where no family is before the colon.

    The member may also be spelt out: `nasbench201:|nor_conv_3x3~0|+...`. Raises RecordError where the family has no such member.
    """
    split = split_member(text)
    if split is None:
        return None
    name, known, member = split
    if member in known.published:
        return StackedNetwork(name, known.published[member], input=known.input_of(member))
    if re.fullmatch(r"[\w.+-]*", member) and not is_text(member):
        raise RecordError(f"{name} has no architecture {member!r}: {nearest(member, known.published)}")
    content = _literal(member)
    if isinstance(content, str) or not _is_recognised(content):
        return StackedNetwork(name, known.parse(member), input=known.input)
    found = read_content(content)
    if found.family != name:
        raise RecordError(f"{shown(member)} is one of {found.family}, and not of {name}")
    return found


def split_member(text: str) -> tuple[str, Family, str] | None:
    """Split a text at the colon after a family's name, which may be a path; None where there is no family's name.

    Raises RecordError where a family is meant, but unknown.
    """
    # the name of a family or module, which begins with no digit, or the path of a Python file, which may contain colons
    match = re.fullmatch(r'([^\W\d][\w.]*|[^\n"]+?\.py):(.*)', text, re.DOTALL)
    if match is None:
        return None
    try:
        return match[1], family(match[1]), match[2]
    except RecordError:
        # a word and a colon that begin another text, such as that of a cell, are no mistake
        if re.fullmatch(r"[\w.+-]*", match[2]) or match[1].endswith(".py"):
            raise
    return None
