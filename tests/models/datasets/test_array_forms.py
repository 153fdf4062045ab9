"""Arrays as people save them: what they say of samples and classes is the same in every form."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.datasets import Dataset
from models.datasets.formats import FormatError
from models.exporters.predicting.graph_arrays import GraphPredictor
from tests.models.support.uploads import npz, read

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (60, 5, 5), dtype=np.uint8)
Y = np.arange(60) % 3
WORDS = np.array(["a", "b", "c"])[Y]
EDGES = RNG.integers(0, 60, (2, 90))
NODES = RNG.normal(size=(60, 4))


def codes(found: Dataset) -> list[str]:
    return [remark.code for remark in found.remarks if remark.code != "few_samples"]


def arrays_of(task: str) -> dict[str, Any]:
    if task == "node_classification":
        return {"x": NODES, "edge_index": np.concatenate([EDGES, EDGES[::-1]], axis=1)}
    return {"x": X if task == "image_classification" else NODES[:, :, None]}


TASKS = ("image_classification", "sequence_classification", "node_classification")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("y", "like", "is_told"),
    [
        (np.eye(3)[Y], Y, True),
        (np.eye(3, dtype=bool)[Y], Y, True),
        (Y[:, None], Y, False),
        (Y.astype(np.float64), Y, True),
        (Y > 0, (Y > 0).astype(int), True),
        (WORDS.astype("S"), WORDS, False),
    ],
)
def test_classes_are_the_same_in_every_form(
    y: Any, like: Any, is_told: bool, task: str, tmp_path: Path
) -> None:
    arrays = arrays_of(task)
    found, plain = (read(tmp_path, npz(y=one, **arrays), task) for one in (y, like))
    assert found.fingerprint == plain.fingerprint
    assert found.preprocessing["classes"] == plain.preprocessing["classes"]
    is_float = task == "node_classification" and y.dtype == np.float64 and y.ndim == 1
    more = ["classes_converted"] if is_told and not is_float else []  # where NaN has a meaning
    assert [c for c in codes(found) if c not in codes(plain)] == more


@pytest.mark.parametrize("task", ["tabular_classification", "text_classification"])
@pytest.mark.parametrize(
    ("spelled", "classes", "is_told"),
    [
        (["0.0", "1.0"], [0, 1], True),
        (["-1.00", "2.00"], [-1, 2], True),
        (["0", "1.0"], [0, 1], True),
        (["0", "1"], [0, 1], False),
        (["1", "1.0"], ["1", "1.0"], False),
        (["01.0", "1.0"], ["01.0", "1.0"], False),
        (["1.0", "b"], ["1.0", "b"], False),
    ],
)
def test_a_class_that_a_program_wrote_as_a_float_is_a_whole_number(
    spelled: list[str], classes: list[Any], is_told: bool, task: str, tmp_path: Path
) -> None:
    rows = "".join(f"{NODES[i, 0]},{spelled[i % 2]}\n" for i in range(60))
    options = {"text": "x"} if task == "text_classification" else {}
    found = read(tmp_path, f"x,label\n{rows}".encode(), task, target="label", **options)
    are_words = task == "text_classification"
    assert found.preprocessing["classes"] == ([str(c) for c in classes] if are_words else classes)
    assert ("classes_converted" in codes(found)) == is_told


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y / 2, "y holds numbers that are no classes, as 0.5; classes are whole numbers or st"),
        (np.stack([Y > 0, Y > 1], 1), "one label a sample"),
        (WORDS.astype(object), r"y holds object; .*y.astype\(str\)"),
        (np.array([b"\xff"] * 60), "y holds bytes that are no UTF-8"),
    ],
)
def test_what_is_no_class_is_refused(y: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, npz(x=X, y=y), "image_classification")


def test_pictures_are_bytes_or_floats_however_they_are_saved(tmp_path: Path) -> None:
    plain = read(tmp_path, npz(x=X, y=Y), "image_classification")
    whole = read(tmp_path, npz(x=X.astype(np.int64), y=Y), "image_classification")
    assert whole.fingerprint == plain.fingerprint and codes(whole) == ["pixels_converted"]
    shares = read(tmp_path, npz(x=X / 255, y=Y), "image_classification")
    torch.testing.assert_close(shares.train.x, plain.train.x, rtol=1e-4, atol=1e-5)
    deep = read(tmp_path, npz(x=X.astype(np.uint16) * 257, y=Y), "image_classification")
    torch.testing.assert_close(deep.train.x, plain.train.x, rtol=1e-4, atol=1e-5)


def test_names_of_arrays_are_known_in_capitals(tmp_path: Path) -> None:
    parts = {"X_train": X[:40], "Y_train": Y[:40], "X_test": X[40:], "Y_test": Y[40:]}
    found = read(tmp_path, npz(**parts), "image_classification")
    assert found.sizes["test"] == 20 and "arrays_renamed" not in codes(found)
    with pytest.raises(ValueError, match="'X' and 'x' both name x; one of them is enough"):
        read(tmp_path, npz(X=X, x=X, y=Y), "image_classification")


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("trainX", "trainY", "testX", "testY"),
        ("Xtrain", "ytrain", "Xtest", "ytest"),
        ("data", "target", "data_test", "target_test"),
        ("training-inputs", "training-targets", "testing-inputs", "testing-targets"),
    ],
)
@pytest.mark.parametrize("task", ["image_classification", "sequence_classification"])
def test_usual_names_of_arrays_are_known_and_told(
    names: tuple[str, ...], task: str, tmp_path: Path
) -> None:
    """Those of MedMNIST and of many a script, beside those that are told by nobody."""
    x = arrays_of(task)["x"]
    parts = (x[:40], Y[:40, None], x[40:], Y[40:, None])
    plain = dict(zip(("x", "y", "x_test", "y_test"), parts, strict=True))
    found = read(tmp_path, npz(**dict(zip(names, parts, strict=True))), task)
    expected = read(tmp_path, npz(**plain), task)
    assert (found.fingerprint, found.sizes) == (expected.fingerprint, expected.sizes)
    (told,) = (remark for remark in found.remarks if remark.code == "arrays_renamed")
    assert told.count == 4 and f"{names[0]} is read as x, {names[1]} is read as y" in told.message


def test_other_names_are_refused_with_those_that_are_known(tmp_path: Path) -> None:
    for name in ("arr_0", "train", "x_train_test", "x1", "scores", "labels_unlabelled"):
        with pytest.raises(ValueError, match=rf"unknown array '{name}'.*train_images or testLab"):
            read(tmp_path, npz(x=X, y=Y, **{name: X}), "image_classification")
    with pytest.raises(ValueError, match="'y' and 'labels' both name y"):
        read(tmp_path, npz(x=X, y=Y, labels=Y), "image_classification")


def test_labels_of_several_a_sample_may_be_all_that_there_is_of_them(tmp_path: Path) -> None:
    has = RNG.integers(0, 2, (60, 3))
    found = read(tmp_path, npz(images=X, labels=has), "multilabel_classification")
    named = npz(images=X, y=has, labels=np.array(["a", "b", "c"]))
    other = read(tmp_path, named, "multilabel_classification")
    torch.testing.assert_close(found.train.y, other.train.y)
    assert found.preprocessing["labels"] == ["label_0", "label_1", "label_2"]
    assert other.preprocessing["labels"] == ["a", "b", "c"]


def test_usual_names_of_a_graph_are_known_and_told(tmp_path: Path) -> None:
    task, weight = "node_classification", np.linspace(1, 2, 90)
    plain = read(tmp_path, npz(x=NODES, y=Y, edge_index=EDGES, edge_weight=weight), task)
    arrays = {"Features": NODES, "labels": Y, "edges": EDGES, "weights": weight}
    found = read(tmp_path, npz(**arrays), task)
    assert (found.fingerprint, found.preprocessing) == (plain.fingerprint, plain.preprocessing)
    (told,) = (remark for remark in found.remarks if remark.code == "arrays_renamed")
    assert told.count == 4 and "Features is read as x, labels is read as y" in told.message
    with pytest.raises(FormatError, match="feat and features say the same; one of them is enough"):
        read(tmp_path, npz(feat=NODES, features=NODES, y=Y, edge_index=EDGES), task)


def test_edges_may_stand_one_below_the_other(tmp_path: Path) -> None:
    plain, rows = (
        read(tmp_path, npz(x=NODES, y=Y, edge_index=edges), "node_classification")
        for edges in (EDGES, EDGES.T)
    )
    assert rows.fingerprint == plain.fingerprint and codes(rows)[0] == "edges_by_rows"
    predictor = object.__new__(GraphPredictor)
    predictor.preprocessing, predictor.ignored = dict(rows.preprocessing), []
    (raw,) = predictor._batches({"x": NODES, "edge_index": EDGES.T}, "error")
    np.testing.assert_array_equal(raw["edge_index"].numpy(), EDGES)
    from_one = np.concatenate([EDGES + 1, [[1], [60]]], axis=1)
    with pytest.raises(ValueError, match="it seems to count from 1"):
        read(tmp_path, npz(x=NODES, y=Y, edge_index=from_one), "node_classification")


def test_a_zip_has_one_set_of_graphs(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("one", "two"):
            for kind in ("A", "graph_indicator", "graph_labels"):
                archive.writestr(f"{name}/{name}_{kind}.txt", "1, 1\n" if kind == "A" else "1\n")
    with pytest.raises(FormatError, match=r"one_A.txt and two/two_A.txt are of two datasets"):
        read(tmp_path, buffer.getvalue(), "graph_classification")


def test_equal_samples_of_several_classes_are_told(tmp_path: Path) -> None:
    x, y = np.concatenate([X, X[:6]]), np.concatenate([Y, Y[:2], Y[2:6] + 1])
    for task, samples in (("image_classification", x), ("sequence_classification", x / 9)):
        found = read(tmp_path, npz(x=samples, y=y % 4), task)
        told = {remark.code: remark.count for remark in found.remarks}
        assert (told["duplicates"], told["contradictions"]) == (6, 8)
    rows = [f"word {number % 40},{'ab'[number % 2 if number < 40 else 0]}" for number in range(60)]
    content = "\n".join(["text,label", *rows]).encode()
    found = read(tmp_path, content, "text_classification", text="text", target="label")
    told = {remark.code: remark.count for remark in found.remarks}
    assert (told["duplicates"], told["contradictions"]) == (20, 20)


HWC = RNG.integers(0, 256, (60, 6, 7, 3), dtype=np.uint8)
CHW = np.moveaxis(HWC, -1, 1)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ({"x": CHW}, {"x": HWC}),
        ({"x": CHW / 255.0}, {"x": HWC / 255.0}),
        ({"x": CHW[:, :1]}, {"x": HWC[..., :1]}),
        (
            {"x": CHW, "x_test": CHW[:9], "y_test": Y[:9]},
            {"x": HWC, "x_test": HWC[:9], "y_test": Y[:9]},
        ),
    ],
)
def test_pictures_whose_channels_come_first_are_turned_and_told(
    first: dict[str, Any], last: dict[str, Any], tmp_path: Path
) -> None:
    found, plain = (read(tmp_path, npz(y=Y, **a), "image_classification") for a in (first, last))
    assert found.fingerprint == plain.fingerprint
    assert found.preprocessing == plain.preprocessing
    assert [c for c in codes(found) if c not in codes(plain)] == ["channels_first"]


def test_truth_values_are_pixels(tmp_path: Path) -> None:
    found = read(tmp_path, npz(x=X > 99, y=Y), "image_classification")
    like = read(tmp_path, npz(x=(X > 99).astype(np.uint8), y=Y), "image_classification")
    assert found.fingerprint == like.fingerprint
    assert "pixels_converted" in codes(found)


@pytest.mark.parametrize(
    ("x", "x_test", "message"),
    [
        (X.astype(np.float32), X[:9] / 255.0, "x_test holds values up to .* and x up to 255"),
        (X / 255.0, X[:9], "x holds values up to 1 and x_test up to 25.: one of them"),
        (X * 1e300, X[:9] * 1.0, r"x has a number beyond float32, 3.4e38, first at \[0, 0, 0\]"),
        (X.astype(np.float32) * np.float32(1e30), None, "a pixel of .*e.32, at most 1e.12"),
    ],
)
def test_pixels_of_two_scales_and_beyond_numbers_are_refused(
    x: Any, x_test: Any, message: str, tmp_path: Path
) -> None:
    given = {} if x_test is None else {"x_test": x_test, "y_test": Y[:9]}
    with pytest.raises(ValueError, match=message):
        read(tmp_path, npz(x=x, y=Y, **given), "image_classification")


def node_codes(folder: Path, **changes: Any) -> tuple[Dataset, list[str]]:
    arrays = {**arrays_of("node_classification"), "y": Y, **changes}
    found = read(folder, npz(**arrays), "node_classification")
    return found, codes(found)


def test_a_row_without_a_one_is_a_node_without_a_class(tmp_path: Path) -> None:
    known = np.arange(60) % 5 > 0
    found, told = node_codes(tmp_path, y=np.eye(3)[Y] * known[:, None])
    like, _ = node_codes(tmp_path, y=np.where(known, Y, np.nan))
    assert found.fingerprint == like.fingerprint
    assert sum(found.labelled_sizes) == known.sum() and "unlabelled_nodes" in told


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("number", "code"), [(255, "sentinel_values"), (-100, "sentinel_values"), (7, None)]
)
def test_a_class_that_may_stand_for_none_is_told_and_stays(
    number: int, code: str | None, task: str, tmp_path: Path
) -> None:
    y = np.where(np.arange(60) % 6 == 0, number, Y % 2)
    found = read(tmp_path, npz(y=y, **arrays_of(task)), task)
    assert found.preprocessing["classes"] == sorted([0, 1, number])
    assert ("sentinel_values" in codes(found)) == (code is not None)


@pytest.mark.parametrize("task", ["image_classification", "sequence_classification"])
def test_minus_one_is_a_class_of_samples_and_told(task: str, tmp_path: Path) -> None:
    y = np.where(np.arange(60) % 6 == 0, -1, Y % 2)
    found = read(tmp_path, npz(y=y, **arrays_of(task)), task)
    assert found.preprocessing["classes"] == [-1, 0, 1]
    assert "minus_one_is_a_class" in codes(found)


@pytest.mark.parametrize("task", ["image_classification", "sequence_classification"])
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            np.where(Y == 1, np.nan, Y),
            "y is NaN for 20 of 60 samples, first for sample 1; samples w",
        ),
        (np.where(Y == 1, np.inf, Y), "y holds numbers that are no classes, as inf"),
        (np.where(Y == 1, 1e300, Y), r"y holds numbers that are no classes, as 1e\+300"),
    ],
)
def test_numbers_that_are_no_classes_are_named(
    y: Any, message: str, task: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, npz(y=y, **arrays_of(task)), task)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_weights_that_would_leave_no_edge_are_told(weight: float, tmp_path: Path) -> None:
    """What all edges have else is its own mean, and says nothing."""
    arrays = {"x": NODES, "y": Y, "edge_index": EDGES, "edge_weight": np.full(90, weight)}
    found = read(tmp_path, npz(**arrays), "node_classification")
    told = [r.message for r in found.remarks if r.code == "edge_weights_ignored"]
    nothing = "edge_weight is not used: it is 0 for every edge, and all count the same"
    assert told == ([] if weight else [nothing])
    assert "weights" not in found.preprocessing["input"]


def test_edges_may_be_whole_floats(tmp_path: Path) -> None:
    plain, floats = (
        read(tmp_path, npz(x=NODES, y=Y, edge_index=edges), "node_classification")
        for edges in (EDGES, EDGES.astype(float))
    )
    assert floats.fingerprint == plain.fingerprint and codes(floats)[0] == "edges_converted"
    for odd in (0.5, np.nan, np.inf):
        wrong = np.where(EDGES == EDGES[0, 0], odd, EDGES)
        with pytest.raises(
            ValueError, match=r"edge_index is integers of \(2, edges\), got float64"
        ):
            read(tmp_path, npz(x=NODES, y=Y, edge_index=wrong), "node_classification")


@pytest.mark.parametrize("form", [np.zeros((2, 0)), np.zeros((0, 2)), np.zeros((2, 0), int)])
def test_a_graph_may_have_no_edges(form: Any, tmp_path: Path) -> None:
    _, told = node_codes(tmp_path, edge_index=form)
    assert "isolated_nodes" in told


def test_two_edges_are_two_columns_and_told_or_as_training_had_them(tmp_path: Path) -> None:
    two = np.array([[0, 1], [2, 3]])  # 0 to 2 and 1 to 3; by rows 0 to 1 and 2 to 3
    found, told = node_codes(tmp_path, edge_index=two)
    assert "edges_by_columns" in told
    assert "edges_by_columns" not in node_codes(tmp_path, edge_index=np.array([[0, 1], [1, 0]]))[1]
    by_rows, _ = node_codes(tmp_path, edge_index=np.array([[0, 1], [2, 3], [4, 5]]))
    for dataset, expected in ((found, two), (by_rows, two.T)):
        model = object.__new__(GraphPredictor)
        model.preprocessing, model.ignored = dict(dataset.preprocessing), []
        (raw,) = model._batches({"x": NODES, "edge_index": two}, "error")
        np.testing.assert_array_equal(raw["edge_index"].numpy(), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": NODES * 1e200}, "a feature of a node is .*e.200, at most 1e.15"),
        ({"x": (NODES * 1e20).astype(np.float32)}, "a feature of a node is .*e.20, at most 1e.15"),
        ({"edge_weight": np.full(180, np.nan)}, "edge_weight is not finite"),
        ({"y": np.full(60, -1)}, "one class, -1"),
    ],
)
def test_numbers_that_no_network_can_take_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        node_codes(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edge_index": EDGES + 0.5}, r"edge_index is whole numbers of \(2, edges\)"),
        ({"edge_index": EDGES[0]}, r"edge_index is whole numbers of \(2, edges\)"),
        ({"edge_weight": np.linspace(-1, 1, 90)}, "edge_weight has a number that is no weight"),
        ({"edge_weight": np.full(90, np.nan)}, "edge_weight has a number that is no weight"),
        ({"picked": np.array([60])}, r"picked names nodes from 0 to 59, got \[60\]"),
    ],
)
def test_edges_to_predict_from_are_whole_and_their_weights_are_none_below_nothing(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    found, _ = node_codes(tmp_path, edge_index=EDGES, edge_weight=np.linspace(0, 1, 90))
    model = object.__new__(GraphPredictor)
    model.preprocessing, model.ignored = dict(found.preprocessing), []
    arrays = {"x": NODES, "edge_index": EDGES, "edge_weight": np.linspace(0, 1, 90), **changes}
    with pytest.raises(ValueError, match=message):
        list(model._batches(arrays, "error"))


SEQUENCES = RNG.normal(size=(60, 9, 2))


def test_more_channels_than_steps_are_told(tmp_path: Path) -> None:
    turned, plain = (
        read(tmp_path, npz(x=x, y=Y), "sequence_classification")
        for x in (np.moveaxis(SEQUENCES, 1, 2), SEQUENCES)
    )
    assert "steps_and_channels" in codes(turned) and "steps_and_channels" not in codes(plain)
    assert turned.task.input_shape == (2, 9)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (SEQUENCES[:, :, 0], r"of \(60, 9\); of one channel it is x\[:, :, None\]"),
        (SEQUENCES * 1e300, "x has a value of .*e.300, beyond 3e.38"),
    ],
)
def test_sequences_that_are_none_are_refused(x: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, npz(x=x, y=Y), "sequence_classification")


def test_weights_that_a_model_does_not_know_are_told_and_no_edges_are_none(tmp_path: Path) -> None:
    found, _ = node_codes(tmp_path, edge_index=EDGES)
    model = object.__new__(GraphPredictor)
    model.preprocessing, model.ignored = dict(found.preprocessing), []
    given = {"x": NODES, "edge_index": EDGES, "edge_weight": np.linspace(0, 1, 90)}
    list(model._batches(given, "error"))
    assert model.ignored == ["edge_weight"]
    (raw,) = model._batches({"x": NODES, "edge_index": []}, "error")
    assert raw["edge_index"].shape == (2, 0)
