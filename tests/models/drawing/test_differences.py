"""Two networks side by side: what one has and the other has not is marked, and nothing else."""

from __future__ import annotations

from xml.etree import ElementTree

from models.architecture import Architecture
from models.drawing import Pictured, picture_of_two
from models.drawing.differences import differences
from models.presets import preset
from models.recipe import Recipe
from models.task import Task

TASK = Task("image_classification", (3, 16, 16), 10)


def pictured(number: int, **changes: str | int) -> Pictured:
    values = {**preset("darts").architecture.decisions, "cells": 3, "channels": 4, **changes}
    return Pictured(f"trial {number}", Architecture("cnn_cell", values), Recipe())


def test_equal_networks_have_no_marks() -> None:
    drawing = pictured(1).drawing(TASK)
    for marks in differences(drawing, pictured(2).drawing(TASK)):
        assert not any(marks.values())


def test_another_operation_is_marked_on_its_edge_and_at_its_cells() -> None:
    """Node 3 of the normal cell, input 0, a pooling for a convolution: one edge of each, and the
    one normal cell; the reductions keep widths and operations.
    """
    one, other = pictured(1), pictured(2, normal_node_3_first="max_pool_3x3")
    first, second = differences(one.drawing(TASK), other.drawing(TASK))
    assert first == {"network": {"cell_0"}, "part-1": {"0 > 3 > sep_conv_3x3"}}
    assert second == {"network": {"cell_0"}, "part-1": {"0 > 3 > max_pool_3x3"}}
    root = ElementTree.fromstring(picture_of_two(one, other, TASK))  # noqa: S314 - ours
    marked = [g for g in root.iter("{http://www.w3.org/2000/svg}g") if "differs" in str(g.attrib)]
    assert len(marked) == 4
    said = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "normal_node_3_first: sep_conv_3x3 | max_pool_3x3" in said
    assert {"trial 1: cnn_cell", "trial 2: cnn_cell"} <= set(said)
