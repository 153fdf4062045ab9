"""`predict.py` of graphs: from the zip of an upload, or its arrays, however many at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search.testing.small_graphs import molecules
from tests.models.exporters.test_prediction import script
from tests.models.support.bundles import files_of
from tests.models.support.uploads import graph_zip, read


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs")
    return files_of(read(folder, graph_zip(), "graph_classification"), "gnn", folder)[0]


def zipped(folder: Path, **changes: str | None) -> list[str]:
    (folder / "new.zip").write_bytes(graph_zip(graph_labels=None, **changes))
    return [str(folder / "new.zip")]


def test_a_zip_says_what_its_arrays_say_at_once_and_one_after_the_other(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = script(bundle)
    model, arrays = predict.load(bundle), molecules()
    assert list(map(len, model.preprocessing["nodes"]["labels"])) == [2]
    whole = model.outputs(model.read(zipped(tmp_path)))
    assert whole.shape == (40, 2) and not model.told()
    by_arrays = {name: arrays[name] for name in ("x", "edge_index", "graph_of")}
    assert torch.equal(model.outputs(by_arrays), whole)
    monkeypatch.setattr(predict, "NODES", 9)
    torch.testing.assert_close(model.outputs(by_arrays), whole, rtol=0, atol=1e-6)
    nodes = arrays["graph_of"] == 3
    first = int(np.flatnonzero(nodes)[0])
    edges = arrays["edge_index"][:, nodes[arrays["edge_index"][0]]] - first
    alone = model.outputs({"Feat": arrays["x"][nodes], "edges": edges})  # by other usual names
    torch.testing.assert_close(alone[0], whole[3], rtol=0, atol=1e-6)


def test_what_a_zip_has_not_and_what_training_had_not_is_told(bundle: Path, tmp_path: Path) -> None:
    predict = script(bundle)
    model = predict.load(bundle)
    labels = ["99", *(str(7 * row.argmax()) for row in molecules()["x"][1:])]
    model.predict(model.read(zipped(tmp_path, node_labels="\n".join(labels))))
    assert model.told() == ["unknown in 'node_labels': 1"]
    without: dict[str, Any] = model.read(zipped(tmp_path, node_labels=None))
    with pytest.raises(ValueError, match="no node_labels, of which each node of training had 1"):
        model.predict(without)
    with pytest.raises(ValueError, match=r"new.zip: RINGS/RINGS_A.txt, line 2: 1 numbers"):
        model.read(zipped(tmp_path, A="1, 2\n2"))
    with pytest.raises(ValueError, match="there is no array 'x'; it has edge_index"):
        model.predict({"edge_index": molecules()["edge_index"]})
    stray = {"x": np.eye(2), "edge_index": np.array([[0], [2]])}
    with pytest.raises(
        ValueError, match="2 nodes, edge_index names those from 0 to 1; it has 0 to 2"
    ):
        model.predict(stray)
    one = {"edge_index": np.zeros((2, 0), int), "graph_of": [0]}
    with pytest.raises(ValueError, match="features, got 3"):
        model.predict({**one, "x": np.zeros((1, 3))})
    with pytest.raises(ValueError, match="array 'x' has a value that is no finite number"):
        model.predict({**one, "x": [[float("nan")] * 7]})
    (tmp_path / "text.npz").write_text("x,y")
    with pytest.raises(ValueError, match=r"text.npz is no .npz of numbers"):
        model.read([str(tmp_path / "text.npz")])
    backwards = {"x": np.eye(2), "edge_index": np.zeros((2, 0), int), "graph_of": [1, 0]}
    with pytest.raises(ValueError, match="the nodes of a graph are together"):
        model.predict(backwards)
