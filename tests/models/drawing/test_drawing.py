"""The picture of a network shows what is built: every number of it, and its cells."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from models.architecture import Architecture
from models.cost import cost
from models.drawing import picture
from models.drawing.networks import drawing_of
from models.drawing.svg import STYLE
from models.family import families
from models.presets import preset
from models.recipe import Recipe
from models.task import Task
from search.testing.exporters import untrained
from search.testing.small_datasets import SMALL

SVG = "{http://www.w3.org/2000/svg}"


def task_of(name: str) -> Task:
    known = dict(preset(name).published)
    del known["parameters"]
    return Task.from_json({**known, "name": known["task"]})


@pytest.mark.parametrize("family", families)
def test_every_family_is_drawn_with_all_that_it_costs(family: str) -> None:
    dataset = SMALL[next(task for task in SMALL if task in families[family].tasks)]()
    checkpoint, _ = untrained(family, dataset)
    drawing = drawing_of(checkpoint.architecture, checkpoint.task, checkpoint.recipe)
    known = cost(checkpoint.architecture, checkpoint.task, checkpoint.recipe)
    nodes = drawing.network.nodes
    assert sum(node.parameters * node.times for node in nodes) == known["parameters"]
    assert sum(node.flops * node.times for node in nodes) == known["flops"]
    assert nodes[0].title == "input" and nodes[-1].title == "output"
    assert nodes[-1].shape[-1] == checkpoint.task.outputs
    read = {edge.target for edge in drawing.network.edges}
    assert read == {node.id for node in nodes} - {"(input)"}, "each node reads another"


def test_resnet_50_is_the_one_of_its_paper() -> None:
    """He et al. 2016, table 1: 3, 4, 6 and 3 bottlenecks of widths 256, 512, 1024 and 2048; the
    first of each has a projection, the others none.
    """
    drawing = drawing_of(preset("resnet-50").architecture, task_of("resnet-50"), Recipe())
    blocks = [node for node in drawing.network.nodes if node.part]
    assert [node.times for node in blocks] == [1, 2, 1, 3, 1, 5, 1, 2]
    assert [node.shape[0] for node in blocks] == [w for w in (256, 512, 1024, 2048) for _ in "ab"]
    assert [part.title for part in drawing.parts] == ["bottleneck A", "bottleneck B"]
    shortcut = [node.title for node in drawing.parts[0].nodes].count(
        "conv 1\N{MULTIPLICATION SIGN}1 → batch norm"
    )
    assert shortcut == 2 and len(drawing.parts[0].nodes) == len(drawing.parts[1].nodes) + 1
    assert drawing.parameters == 25_557_032


def test_cells_have_their_operations_on_the_edges() -> None:
    """The normal cell of DARTS, Liu et al. 2019, figure 4: states 0 to 3 of two edges each."""
    drawing = drawing_of(preset("darts").architecture, task_of("darts"), Recipe())
    (normal,) = (part for part in drawing.parts if part.title == "normal cell")
    found = sorted((edge.target, edge.label) for edge in normal.edges if edge.label)
    assert found == [
        *(("2", "sep_conv_3x3"), ("2", "sep_conv_3x3")),
        *(("3", "sep_conv_3x3"), ("3", "sep_conv_3x3")),
        *(("4", "sep_conv_3x3"), ("4", "skip_connect")),
        *(("5", "dil_conv_3x3"), ("5", "skip_connect")),
    ]
    assert sum(node.times for node in drawing.network.nodes if node.part) == 20
    assert len(drawing.network.nodes) <= 15


def test_a_row_of_blocks_is_drawn_once() -> None:
    """Ten residual layers of one width after a first one."""
    values = {"depth": 31, "norm": "none", "dropout": 0.0}
    for layer in range(1, 32):
        values |= {f"layer_{layer}_width": 16 if layer % 2 else 32}
        values |= {f"layer_{layer}_activation": "relu", f"layer_{layer}_residual": False}
    drawing = drawing_of(
        Architecture("mlp", values), Task("tabular_regression", (32,), 1), Recipe()
    )
    (repeat,) = drawing.network.repeats
    assert repeat.times == 15 and len(repeat.nodes) == 2
    assert len(drawing.network.nodes) == 2 + 2 + 1 + 1


def test_the_text_is_the_same_each_time_and_holds_no_more_than_shapes_and_text() -> None:
    values = preset("nasbench201-best").architecture
    text = picture(values, task_of("nasbench201-best"), Recipe())
    assert text == picture(values, task_of("nasbench201-best"), Recipe())
    root = ElementTree.fromstring(text)  # noqa: S314 - ours
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "style", "g", "rect", "line", "path", "polygon", "text"}
    assert "prefers-color-scheme:dark" in STYLE and "url(" not in STYLE and "@import" not in STYLE
    shown = [element.text for element in root.iter(f"{SVG}text")]
    assert shown.count("nor_conv_3x3") == 4 and shown.count("\N{MULTIPLICATION SIGN} 5") == 3
