"""`manifest.json`: each file, what checked it, and why one is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.exporters import Export, Turn, exporters, what_checks, write_json

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


@exporters.register("manifest")
class Manifest:
    files = ("manifest.json",)
    card = "each file with what checked it, and why one is missing"
    is_required = True
    turn = Turn.MANIFEST

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        listed = {
            file: {"exporter": name, "checked": what_checks(exporter)}
            for name, exporter in exporters.items()
            for file in exporter.files
            if file not in export.missing
        }
        write_json(folder / "manifest.json", {"files": listed, "missing": dict(export.missing)})

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It lists the files that are here, and says of each what checked it."""
        document = bundle.json("manifest.json")
        here = {path.name for path in bundle.folder.iterdir()} | {"SHA256SUMS"}
        if differing := here ^ document["files"].keys():
            raise ValueError(f"manifest.json and the folder differ in {sorted(differing)}")
        if silent := [name for name, entry in document["files"].items() if not entry["checked"]]:
            raise ValueError(f"manifest.json does not say what checked {silent}")
        if both := document["missing"].keys() & here:
            raise ValueError(f"manifest.json calls {sorted(both)} missing")
