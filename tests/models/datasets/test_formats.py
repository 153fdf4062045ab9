"""Uploaded files: what becomes of them, and that no file does anything else than be refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.preprocessing import StandardScaler

from models.datasets import Dataset, Split
from models.datasets.formats import FormatError, format_of, formats, uploadable_tasks
from models.datasets.preprocess import apply, encode
from models.datasets.reference import DamagedDatasetError, StoredDataset, load_dataset
from models.datasets.stored import load, save
from models.processes.forks import Forks
from models.sandbox import READER, Limits, parse
from models.storage import sha256_of_file, write_file
from tests.models.support.uploads import csv, npz, people, read, upload

SQUARES = np.arange(40 * 6 * 6, dtype=np.uint8).reshape(40, 6, 6)
TWO = np.arange(40) % 2


def test_a_table_is_what_scikit_learn_and_pandas_make_of_it(tmp_path: Path) -> None:
    columns = people()
    found = read(tmp_path, csv(columns), "tabular_regression", target="score")
    frame = pd.read_csv(tmp_path / "file")
    # rows of a split are in ascending order, and the score grows with the row
    target = found.preprocessing["target"]
    scores = found.train.y[:, 0].double().numpy() * target["std"][0] + target["mean"][0]
    train = frame.iloc[np.rint(scores * 7).astype(int)]
    assert len(train) == len(found.train) == 36
    scaler = StandardScaler().fit(train[["age", "income"]])
    expected = scaler.transform(train[["age", "income"]])
    np.testing.assert_allclose(found.train.x[:, :2], np.nan_to_num(expected), atol=1e-5)
    cities = pd.get_dummies(train.city).to_numpy(np.float32)  # Lima, Oslo, Rome; missing is zeros
    labels = pd.get_dummies(train.label).to_numpy(np.float32)
    np.testing.assert_array_equal(found.train.x[:, 2:], np.hstack([cities, labels]))
    assert found.task.input_shape == (8,) and found.task.outputs == 1


def test_rows_as_people_write_them_become_the_networks_input(tmp_path: Path) -> None:
    """The way of a bundle's user: the rows of the test split, from preprocessing.json alone."""
    columns = people()
    found = read(tmp_path, csv(columns), "tabular_classification", target="label")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    raw = encode(rows, found.preprocessing)
    inputs = apply(raw, found.preprocessing)
    for x, label in zip(found.test.x, found.test.y.tolist(), strict=True):
        matches = (inputs == x).all(dim=1).nonzero()[:, 0].tolist()
        classes = found.preprocessing["classes"]
        assert classes[label] in {columns["label"][row] for row in matches}
    assert torch.equal(apply(found.raw_test.x, found.preprocessing), found.test.x)
    strange = encode([{"age": 40, "city": "Atlantis"}], found.preprocessing)
    assert apply(strange, found.preprocessing)[0, 1:5].tolist() == [0, 0, 0, 0]


def test_parquet_and_csv_of_one_table_are_one_dataset(tmp_path: Path) -> None:
    content = csv(people())
    by_csv = read(tmp_path, content, "tabular_classification", target="label")
    buffer = io.BytesIO()
    pd.read_csv(io.BytesIO(content)).to_parquet(buffer)
    by_parquet = read(tmp_path, buffer.getvalue(), "tabular_classification", target="label")
    assert by_parquet.fingerprint == by_csv.fingerprint
    assert torch.equal(by_parquet.train.x, by_csv.train.x)


def series(rows: int = 100) -> dict[str, list[str]]:
    rng = np.random.default_rng(1)
    start = np.datetime64("2026-01-01T00:00")
    return {
        "date": [str(start + np.timedelta64(hour, "h")) for hour in range(rows)],
        "load": [f"{value:.4f}" for value in rng.normal(100, 20, rows)],
        "heat": [f"{value:.4f}" for value in rng.normal(5, 1, rows)],
    }


FORECAST: dict[str, Any] = {"time": "date", "target": "heat", "window": 6, "horizon": 3}


def test_windows_are_those_of_a_plain_loop_and_split_by_time(tmp_path: Path) -> None:
    content = csv(series())
    found = read(tmp_path, content, "forecasting", **FORECAST)
    values = pd.read_csv(io.BytesIO(content))[["load", "heat"]].to_numpy()
    scaled = (values - values[:60].mean(0)) / values[:60].std(0)  # 60 rows of train
    splits = (found.train, 0, 60), (found.validation, 60, 80), (found.test, 80, 100)
    for split, first, end in splits:
        starts = range(max(first - 6, 0), end - 6 - 3 + 1)  # what is forecast lies in the split
        x = np.stack([scaled[i : i + 6] for i in starts])
        y = np.stack([scaled[i + 6 : i + 9, 1] for i in starts])
        np.testing.assert_allclose(split.x, x, atol=1e-5)
        np.testing.assert_allclose(split.y, y, atol=1e-5)
    assert found.task.input_shape == (6, 2) and found.task.outputs == 3
    assert torch.equal(apply(found.raw_test.x, found.preprocessing), found.test.x)


def test_sequences_are_standardised_by_channel_on_train(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal([3, -7], [2, 5], (80, 9, 2))
    found = read(tmp_path, npz(x=x, y=np.arange(80) % 2), "sequence_classification")
    torch.testing.assert_close(found.train.x.mean((0, 1)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        found.train.x.std((0, 1), correction=0), torch.ones(2), atol=1e-5, rtol=0
    )
    assert found.task.input_shape == (9, 2)


def test_a_text_is_modelled_by_the_characters_of_its_train_block(tmp_path: Path) -> None:
    text = "abcä" * 150 + "abcä" * 49 + "zzzz" + "abcä" * 50  # z is in validation alone
    found = read(tmp_path, text.encode(), "language_modeling", window=10)
    vocabulary = found.preprocessing["vocabulary"]
    assert vocabulary == ["", "\ufffd", "a", "b", "c", "ä"]

    def written(tokens: torch.Tensor) -> str:
        return "".join(vocabulary[token] for token in tokens.tolist())

    shown = [written(split.x.flatten()) for split in (found.train, found.validation, found.test)]
    assert shown[0] == text[:600][: len(shown[0])] and len(shown[0]) == 590
    assert shown[1] == text[600:800].replace("z", "\ufffd")[: len(shown[1])]
    assert written(found.train.y.flatten()) == text[1:591]
    assert torch.equal(encode([text[:10]], found.preprocessing)[0], found.train.x[0])
    assert (found.task.vocabulary, found.task.outputs) == (6, 6)


def test_words_that_the_train_texts_lack_are_unknown(tmp_path: Path) -> None:
    rows = [("Good, good!", "+")] * 40 + [("bad", "-")] * 30  # of 100: more than train is to have
    rows += [(f"{number}", "+-"[number % 2]) for number in range(30)]
    content = "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows)
    found = read(tmp_path, content.encode(), "text_classification", target="label")
    assert found.preprocessing["vocabulary"] == ["", "\ufffd", "good", "!", ",", "bad"]
    assert found.task.input_shape == (4,)
    tokens = encode(["GOOD, strange good! and more", "bad"], found.preprocessing)
    assert tokens.tolist() == [[2, 4, 1, 2], [5, 0, 0, 0]]


def pictures(entries: dict[str, tuple[str, tuple[int, int]]], ending: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, (mode, size)) in enumerate(entries.items()):
            image = io.BytesIO()
            colour = number % 200 if mode == "L" else (number % 200, 0, 7)
            Image.new(mode, size, colour).save(image, ending)
            archive.writestr(name, image.getvalue())
    return buffer.getvalue()


def test_folders_of_pictures_are_classes_and_a_split_is_kept(tmp_path: Path) -> None:
    names = [f"pets/{split}/{kind}/{i}.png" for split, count in (("train", 10), ("test", 4))
             for kind in ("cat", "dog") for i in range(count)]  # fmt: skip
    content = pictures({name: ("L", (5, 4)) for name in names})
    found = read(tmp_path, content, "image_classification")
    assert found.sizes == {"train": 16, "validation": 4, "test": 8}
    assert found.preprocessing["classes"] == ["cat", "dog"]
    pixels = [names.index(name) for name in sorted(names) if "/test/" in name]
    assert found.raw_test.x[:, 0, 0].tolist() == pixels
    assert found.raw_test.y.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    mixed = {f"{kind}/{i}.jpg": (kind, (5, 4)) for kind in ("L", "RGB") for i in range(10)}
    colour = pictures(mixed, "JPEG")
    assert read(tmp_path, colour, "image_classification").task.input_shape == (3, 4, 5)


def zipped(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def changed(columns: dict[str, list[str]], name: str, row: int, value: str) -> bytes:
    columns[name][row - 2] = value
    return csv(columns)


@pytest.mark.parametrize(
    ("task", "content", "options", "message"),
    [
        ("tabular_regression", csv(people(score=["1"] * 9 + ["x"] + ["2"] * 50)),
         {"target": "score"}, "row 11, column 'score': 'x' is no number"),
        ("tabular_regression", csv(people(score=["1"] * 9 + [""] + ["2"] * 50)),
         {"target": "score"}, "row 11, column 'score': the number is missing"),
        ("tabular_classification", csv(people(label=["a", ""] * 30)),
         {"target": "label"}, "row 3, column 'label': the class is missing"),
        ("tabular_classification", csv(people(label=["0.5"] * 60)),
         {"target": "label"}, "row 2, column 'label': 0.5 is no class"),
        ("tabular_classification", csv(people(label=["a"] * 60)),
         {"target": "label"}, "there is one class"),
        ("tabular_classification", csv(people()) + b"\n1,2", {"target": "label"},
         "row 62: Expected 5 columns, got 2"),
        ("tabular_classification", csv(people()), {}, "the columns are age, income, city"),
        ("tabular_classification", csv(people()), {"target": "lable"}, "no column 'lable'"),
        ("tabular_classification", csv(people()), {"target": "label", "window": 3},
         "has no meaning for tabular_classification"),
        ("tabular_classification", b"a,a\n1,2\n", {"target": "a"}, "got 'a' twice"),
        ("tabular_classification", b"PAR1 and no more", {"target": "a"}, "not a Parquet file"),
        ("tabular_classification", npz(x=TWO), {"target": "a"}, "not a file for tabular"),
        ("image_classification", npz(x=SQUARES), {}, "x and y are needed"),
        ("image_classification", npz(x=SQUARES, y=TWO[:7]), {}, r"y is \(40,\), one label"),
        ("image_classification", npz(x=SQUARES[:, 0], y=TWO), {}, r"x is \(N, H, W\)"),
        ("image_classification", npz(x=np.array([pickle.dumps(1)], dtype=object), y=TWO), {},
         "x holds object; numbers and strings are allowed"),
        ("image_classification", b"no zip", {}, "not a file for image_classification"),
        ("forecasting", csv(series()), {**FORECAST, "time": None}, "is required, the columns are"),
        ("forecasting", csv(series()), {**FORECAST, "window": None}, "number of time steps"),
        ("forecasting", csv(series()), {**FORECAST, "target": "date"}, "cannot be forecast"),
        ("forecasting", csv(series(12)), FORECAST, "8 rows of a split are too few"),
        ("forecasting", csv({**series(), "heat": ["-"] * 100}), FORECAST,
         "row 2, column 'heat': '-' is no number, as all cells"),
        ("forecasting", changed(series(), "date", 9, "soon"), FORECAST,
         "row 9, column 'date': 'soon' is no date"),
        ("forecasting", changed(series(), "date", 9, "2025-01-01"), FORECAST,
         "row 9, column 'date': 2025-01-01 is not later than"),
        ("language_modeling", b"line\nand \xff", {}, "line 2: byte 9 is no utf-8; .* \"latin-1\""),
        ("language_modeling", b"short", {}, "too few for a window of 128"),
        ("text_classification", csv({"a": ["x"], "b": ["y"], "c": ["z"]}), {"target": "a"},
         "is required, the columns are a, b, c"),
        ("text_classification", csv({"text": ["x", "y", "z"], "label": ["a", "", "b"]}),
         {"target": "label"}, "row 3, column 'label': the class is missing"),
        ("text_classification", csv({"text": ["x", "y"], "label": ["a", "b"]}) + b"\nz",
         {"target": "label"}, "row 4: Expected 2 columns, got 1"),
        ("text_classification", csv({"text": ["Same", "same "] * 9, "label": ["a", "b"] * 9}),
         {"target": "label"}, "three splits need three different texts or more, got 1"),
        ("text_classification", csv({"text": ["x", "y"], "label": ["a", "b"]}),
         {"target": "label", "text": "label"}, "'label' is the target"),
        ("sequence_classification", npz(x=np.ones((40, 3, 2))), {},
         "x and y are needed.*y is missing, got x"),
        ("sequence_classification", npz(x=np.ones((40, 3)), y=TWO), {},
         r"x is numbers of shape \(N, T, channels\), got float64 of \(40, 3\)"),
        ("sequence_classification", npz(x=np.ones((40, 3, 2)), y=TWO[:7]), {},
         r"y is \(40,\) integers or strings, got int64 of \(7,\)"),
        ("sequence_classification", npz(x=np.r_[np.ones(7), np.nan].reshape(4, 2, 1), y=TWO[:4]),
         {}, "x has a value that is not finite, first in sample 3"),
        ("node_classification", npz(x_data=TWO, edge_index=np.zeros((2, 4), int), y=TWO), {},
         "there is no x, and of its parts by rows no x_indices"),
        ("node_classification", npz(x=np.ones((40, 2)), y=TWO), {}, "edge_index is missing"),
        ("node_classification", npz(x=np.ones((40, 2)), edge_index=np.full((2, 3), 40), y=TWO), {},
         r"edge_index names nodes from 0 to 39, got 40 at \[0, 0\]"),
        ("node_classification", b"no npz", {}, "not a file for node_classification"),
        ("graph_classification", zipped(**{"A_A.txt": b"1,2", "A_graph_indicator.txt": b"1\nx"}),
         {}, "A_graph_indicator.txt, line 2: not numbers with commas, got 'x'"),
        ("graph_classification", zipped(**{"A_graph_indicator.txt": b"1\n1"}), {},
         "no file NAME_A.txt with a line in the zip"),
        ("graph_classification", zipped(**{"x.txt": b"1"}), {}, "not a file for graph_class"),
        ("image_classification", pictures({"../a/1.png": ("L", (4, 4))}), {}, "points out of"),
        ("image_classification", pictures({"1.png": ("L", (4, 4))}), {}, "folder of its class"),
        ("image_classification", zipped(**{"a/1.png": b"no picture"}), {},
         "a/1.png: not a picture: its content is none of"),
        ("image_classification", zipped(**{"a/1.png": b"\0" * 10_000_000}), {},
         "a/1.png: unpacks to more than 200 times"),
        ("image_classification", pictures({"a/1.png": ("L", (9000, 8000))}), {},
         "at most 67,108,864 pixels, got 9000x8000"),
        ("table", npz(codes=TWO), {}, "a table needs dimensions, search_score, final_score"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_place(
    tmp_path: Path, task: str, content: bytes, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content, task, **options)


def test_an_array_that_claims_more_than_it_has_is_not_made_room_for(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
    )
    with zipfile.ZipFile(tmp_path / "bomb", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"x claims the shape \(1099511627776,\)"):
        read(tmp_path, (tmp_path / "bomb").read_bytes(), "image_classification")


VALID: list[tuple[str, bytes, dict[str, Any]]] = [
    ("tabular_classification", csv(people()), {"target": "label"}),
    ("tabular_regression", csv(people()), {"target": "score"}),
    ("image_classification", npz(x=SQUARES, y=TWO), {}),
    ("forecasting", csv(series()), FORECAST),
    ("language_modeling", b"abc " * 300, {"window": 10}),
    ("sequence_classification", npz(x=np.ones((40, 3, 2)), y=TWO), {}),
    ("text_classification", csv({"text": [f"a {n}" for n in range(40)], "label": ["x", "y"] * 20}),
                            {"target": "label"}),
    ("image_classification", pictures({f"{i % 2}/{i}.png": ("L", (4, 4)) for i in range(12)}), {}),
]  # fmt: skip


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    task, content, options = data.draw(st.sampled_from(VALID))
    place = data.draw(st.integers(0, len(content)))
    patch = data.draw(st.binary(max_size=12))
    cut = data.draw(st.sampled_from([len(content), place + len(patch)]))
    damaged = (content[:place] + patch + content[place + len(patch) :])[:cut]
    try:
        found = read(tmp_path, damaged, task, **options)
    except ValueError:
        return
    for split in (found.train, found.validation, found.test):
        assert len(split) and torch.isfinite(split.x).all()


def test_every_task_has_a_format_and_every_format_a_task() -> None:
    assert {task for entry in formats.values() for task in entry.tasks} == set(uploadable_tasks())
    assert all(entry.tasks and entry.description for entry in formats.values())


def strided() -> Dataset:
    """Windows that overlap, images whose channels lie last, and two splits of one tensor."""
    series = torch.arange(1000.0)
    windows = series.unfold(0, 50, 1)
    images = torch.randn(8, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    return Dataset(
        "strided",
        read_task(),
        Split(windows[:900], windows[:900, 0]),
        Split(windows[900:], windows[900:, 0]),
        Split(images, torch.arange(8)),
        Split(images.to(torch.uint8), torch.arange(8)),
        {"steps": []},
        "f" * 64,
    )


def read_task() -> Any:
    from models.task import Task

    return Task("image_classification", (3, 4, 5), 8)


def test_a_stored_dataset_is_the_same_and_views_stay_views(tmp_path: Path) -> None:
    before, path = strided(), tmp_path / "d.safetensors"
    save(before, path)
    assert path.stat().st_size < 10_000  # the windows alone would be 190,400 bytes
    after = load(path)
    assert isinstance(after, Dataset)
    for name in ("train", "validation", "test", "raw_test"):
        for part in ("x", "y"):
            was, now = (getattr(getattr(d, name), part) for d in (before, after))
            assert torch.equal(was, now) and was.stride() == now.stride() and was.dtype == now.dtype
    assert (after.task, after.preprocessing) == (before.task, before.preprocessing)
    assert str(path) in Path("/proc/self/maps").read_text()


def test_a_reference_fetches_once_and_holds_the_file_to_its_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASMITH_HOME", str(tmp_path / "home"))
    file = tmp_path / "d.safetensors"
    save(strided(), file)
    sha256 = sha256_of_file(file)
    write_file("memory://store/d.safetensors", file.read_bytes())
    reference = StoredDataset("memory://store/d.safetensors", sha256)
    assert load_dataset(reference).fingerprint == "f" * 64
    (cached,) = (tmp_path / "home").rglob("*.safetensors")
    write_file("memory://store/d.safetensors", b"something else")
    assert reference.load().name == "strided"  # from the cache
    cached.write_bytes(b"a torn copy")
    with pytest.raises(DamagedDatasetError, match="has the SHA-256"):
        reference.load()
    with pytest.raises(DamagedDatasetError, match="cannot be read"):
        StoredDataset(str(tmp_path / "none"), sha256).load()


def test_the_reader_is_a_process_with_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    (tmp_path / "small").mkdir()
    (tmp_path / "big").mkdir()
    good = upload(tmp_path, npz(x=SQUARES, y=TWO), "image_classification")
    small = upload(tmp_path / "small", npz(x=SQUARES), "image_classification")
    many = npz(x=np.zeros((9_000, 96, 96), np.uint8), y=np.arange(9_000) % 2)
    big = upload(tmp_path / "big", many, "image_classification")
    with Forks(READER) as readers:
        facts = parse(good, target, readers=readers)
        with pytest.raises(FormatError, match="more than 20,000,000 bytes of memory"):
            parse(big, tmp_path / "none", Limits(memory_bytes=20_000_000), readers)
        with pytest.raises(FormatError, match=r"more than 0\.001 s"):
            parse(big, tmp_path / "none", Limits(seconds=0.001), readers)
        with pytest.raises(FormatError, match="x and y are needed"):
            parse(small, tmp_path / "none", None, readers)
    stored = load(target)
    assert isinstance(stored, Dataset) and facts["fingerprint"] == stored.fingerprint
    assert facts["format"] == "image_arrays" and facts["samples"] == stored.sizes
    assert facts["task"] == stored.task.to_json() and facts["classes"] == [0, 1]
    assert format_of(good) == "image_arrays"
