"""Which parts of two drawings differ, as marks for `models.drawing.svg.svg_pair`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from models.architecture import Architecture
from models.drawing.graph import Drawing, Graph, Node
from models.drawing.svg import edge_id

MAX_NOTES = 16

_Look = tuple[object, ...]
_Marks = dict[str, set[str]]


def differences(first: Drawing, second: Drawing) -> tuple[_Marks, _Marks]:
    """What of each the other has not. Nodes are held against each other in their order; the inside
    of blocks with the next of the same name that has no equal.
    """
    marks: tuple[_Marks, _Marks] = ({}, {})
    for found, drawn, looks in zip(marks, (first, second), _unmatched(first, second), strict=True):
        found[drawn.network.id] = looks
    left = [_without_equal(first, second), _without_equal(second, first)]
    for part in left[0]:
        other = next((o for o in left[1] if _name(o) == _name(part)), None)
        if other is not None:
            left[1].remove(other)
            marks[0][part.id], marks[1][other.id] = _of_parts(part, other)
    return marks


def notes(first: Architecture, second: Architecture) -> list[str]:
    """The decisions that differ, a line each."""
    names = sorted(first.decisions.keys() | second.decisions.keys())
    said = []
    for name in names:
        one, other = (a.decisions.get(name, "\N{EN DASH}") for a in (first, second))
        if one != other:
            said.append(f"{name}: {one} | {other}")
    if first.family != second.family:
        said = [f"family: {first.family} | {second.family}"]
    kept = said[:MAX_NOTES]
    return kept + ([f"and {len(said) - MAX_NOTES} more"] if len(said) > MAX_NOTES else [])


def _unmatched(first: Drawing, second: Drawing) -> tuple[set[str], set[str]]:
    return _marked(
        [(node.id, _look(node, first)) for node in first.network.nodes],
        [(node.id, _look(node, second)) for node in second.network.nodes],
    )


def _marked(
    first: Sequence[tuple[str, _Look]], second: Sequence[tuple[str, _Look]]
) -> tuple[set[str], set[str]]:
    """Of two rows of names with what they look like, the names that have no match."""
    matcher = SequenceMatcher(None, [x for _, x in first], [x for _, x in second], autojunk=False)
    left = {name for name, _ in first}, {name for name, _ in second}
    for at, other, size in matcher.get_matching_blocks():
        left[0].difference_update(name for name, _ in first[at : at + size])
        left[1].difference_update(name for name, _ in second[other : other + size])
    return left


def _look(node: Node, drawing: Drawing) -> _Look:
    """Without the letter and the number of its inside, but with what that is."""
    part = next((part for part in drawing.parts if part.id == node.part), None)
    if part is None:
        return node.looks
    sizes = (node.detail, node.shape, node.parameters, node.flops, node.times)
    return (_name(part), _inside(part), *sizes)


def _inside(part: Graph) -> _Look:
    return tuple((node.id, *node.looks) for node in part.nodes), part.edges


def _name(part: Graph) -> str:
    """Without the letter that tells it from others of its name."""
    name, _, letter = part.title.rpartition(" ")
    return name if len(letter) == 1 and letter.isupper() else part.title


def _without_equal(drawing: Drawing, other: Drawing) -> list[Graph]:
    known = [_inside(part) for part in other.parts]
    return [part for part in drawing.parts if _inside(part) not in known]


def _of_parts(first: Graph, second: Graph) -> tuple[set[str], set[str]]:
    """Nodes and edges with labels; edges without one follow from the nodes."""
    left = _marked(*([(node.id, node.looks) for node in part.nodes] for part in (first, second)))
    labels = [{edge_id(edge) for edge in part.edges if edge.label} for part in (first, second)]
    return left[0] | (labels[0] - labels[1]), left[1] | (labels[1] - labels[0])
