"""`architecture.svg`: the picture of the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.drawing import ensemble_picture, picture
from models.ensemble import Ensemble
from models.exporters import Export, Turn, exporters

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


@exporters.register("drawing")
class ArchitecturePicture:
    files = ("architecture.svg",)
    card = "its picture: layers, shapes, parameters and FLOPs, and the inside of blocks and cells"
    is_required = False
    turn = Turn.NETWORK

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        model = export.checkpoint
        if isinstance(model, Ensemble):
            parts = [(one.checkpoint.architecture, one.checkpoint.recipe) for one in model.members]
            text = ensemble_picture(parts, model.shares, model.task)
        else:
            text = picture(model.architecture, model.task, model.recipe)
        (folder / "architecture.svg").write_text(text, "utf-8")

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It is SVG that holds text and shapes alone, loads nothing, runs nothing, and has a node
        of the output with the shape that the network gives.
        """
        from xml.etree import ElementTree

        space = "{http://www.w3.org/2000/svg}"
        root = ElementTree.parse(bundle.folder / "architecture.svg").getroot()  # noqa: S314 - ours
        if root.tag != f"{space}svg" or "viewBox" not in root.attrib:
            raise ValueError(f"architecture.svg is {root.tag}, or has no size")
        known = {"svg", "title", "style", "g", "rect", "line", "path", "polygon", "text"}
        for element in root.iter():
            if element.tag.removeprefix(space) not in known:
                raise ValueError(f"architecture.svg has {element.tag}")
            if wrong := [n for n in element.attrib if n.startswith("on") or "href" in n]:
                raise ValueError(f"architecture.svg has {element.tag} with {wrong}")
        shape = f"({', '.join(map(str, bundle.outputs.shape[1:]))})"
        said = [element.text or "" for element in root.iter(f"{space}title")]
        if not any(text.startswith("(output), ") and text.endswith(shape) for text in said):
            raise ValueError(f"architecture.svg has no output of the shape {shape}")
