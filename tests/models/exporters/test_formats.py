"""A model for other runtimes: the same numbers, from raw samples, for any number of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from pydantic import ValidationError

from models.exporters import CannotExportError, Export, exporters
from models.exporters.bundle import export_of, write_bundle
from models.exporters.whole import Whole
from models.family import families
from search.spec import Final
from search.testing.exporters import untrained
from search.testing.small_datasets import SMALL


def export(family: str) -> Export:
    dataset = SMALL[next(task for task in SMALL if task in families[family].tasks)]()
    checkpoint, report = untrained(family, dataset)
    return export_of(checkpoint, dataset, report, {})


@pytest.mark.parametrize("family", ["cnn_cell", "cnn_stages", "mlp", "rnn", "transformer"])
def test_a_family_leaves_for_other_runtimes_with_its_preprocessing(
    family: str, tmp_path: Path
) -> None:
    """ONNX Runtime has kernels of its own: rounding is all that may differ."""
    made = export(family)
    raw = made.dataset.raw_test.x
    assert isinstance(raw, torch.Tensor)
    with torch.no_grad():
        wanted = Whole(made.network, made.dataset.preprocessing)(raw)
    for name in ("onnx", "pt2"):
        exporters[name].write(tmp_path, made)
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "model.pt2"}
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    program = torch.export.load(tmp_path / "model.pt2").module()
    for count in (1, 2, len(raw)):
        (by_onnx,) = session.run(None, {"input": raw[:count].numpy()})
        np.testing.assert_allclose(by_onnx, wanted[:count].numpy(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(program(raw[:count].contiguous()), wanted[:count])


def test_a_graph_stays_with_its_model_and_the_bundle_says_why(tmp_path: Path) -> None:
    made = export("gnn")
    with pytest.raises(CannotExportError, match="links are sorted"):
        exporters["onnx"].write(tmp_path, made)
    write_bundle(tmp_path / "bundle", made.checkpoint, made.dataset, made.report, ["onnx"])
    missing = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["missing"]
    assert "use model.py" in missing["model.onnx"]
    assert missing["model.pt2"].startswith("not asked for")


def test_a_search_asks_for_formats_that_there_are() -> None:
    assert Final().formats == ()
    assert Final.model_validate({"formats": ["onnx", "pt2"]}).formats == ("onnx", "pt2")
    with pytest.raises(ValidationError, match="unknown formats \\['tflite'\\], known are onnx"):
        Final.model_validate({"formats": ["tflite"]})
    with pytest.raises(ValidationError, match="each format is listed once"):
        Final.model_validate({"formats": ["onnx", "onnx"]})
