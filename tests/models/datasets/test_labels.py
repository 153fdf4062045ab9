"""Files of samples with several labels each: tables, texts and pictures."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet as pq

from models.datasets import Dataset
from models.datasets.formats import FormatError, format_of
from models.datasets.label_splits import by_label
from models.task import MULTILABEL
from tests.models.support.uploads import csv, npz, read, upload

TAGS = ["red;round", "red", "", "round; red", "big", "big;red"]
"""Of the first six rows, and so on."""

ROWS = 120


def cells(tags: list[str] = TAGS, rows: int = ROWS) -> list[str]:
    return [tags[row % len(tags)] for row in range(rows)]


def table(tags: list[str] = TAGS) -> bytes:
    return csv({"a": [f"{row}.5" for row in range(ROWS)], "tags": cells(tags)})


def codes(dataset: Dataset) -> dict[str, Any]:
    return {remark.code: remark for remark in dataset.remarks}


def whole(dataset: Dataset) -> np.ndarray[Any, Any]:
    parts = (dataset.train, dataset.validation, dataset.test)
    return np.concatenate([part.y.numpy() for part in parts])


def pictures(labels: str | None, names: list[str], **more: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, name in enumerate(names):
            picture = io.BytesIO()
            Image.new("L", (4, 4), number).save(picture, "PNG")
            archive.writestr(name, picture.getvalue())
        if labels is not None:
            archive.writestr("labels.csv", labels)
        for name, content in more.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_table_with_labels(tmp_path: Path) -> None:
    dataset = read(tmp_path, table(), MULTILABEL, target="tags")
    assert dataset.task.name == MULTILABEL and dataset.task.form == "tabular_classification"
    assert dataset.preprocessing["labels"] == ["big", "red", "round"]
    assert dataset.preprocessing["labels_separator"] == ";"
    # Of six rows in turn two have big, four red, two round.
    assert whole(dataset).sum(axis=0).tolist() == [ROWS // 3, 4 * ROWS // 6, ROWS // 3]
    told = codes(dataset)
    assert told["no_labels"].count == ROWS // 6 and "row 4" in told["no_labels"].message
    assert "labels_separator_guessed" not in told and "untidy_labels" not in told
    (column,) = (column for column in dataset.columns if column.name == "tags")
    assert (column.role, column.distinct, column.missing) == ("target", 3, 0)


@pytest.mark.parametrize(("sign", "is_told"), [("|", True), (",", True), (";", False)])
def test_the_separator_is_what_the_cells_show(sign: str, is_told: bool, tmp_path: Path) -> None:
    content = table([f'"{tag.replace(";", sign)}"' for tag in TAGS])
    dataset = read(tmp_path, content, MULTILABEL, target="tags", separator=",")
    assert dataset.preprocessing["labels"] == ["big", "red", "round"]
    assert ("labels_separator_guessed" in codes(dataset)) == is_told


@pytest.mark.parametrize(
    "lists",
    [
        ("['red', 'round']", "['round']", "[]"), ('["red", "round"]', '["round"]', "[]"),
        ("['red' 'round']", "['round']", "[]"), ("{red,round}", "{round}", "{}"),
        ("[red round]", "[round]", ""), ("('red', 'round')", "('round',)", "()"),
    ],
)  # fmt: skip
def test_lists_that_programs_write_are_labels(lists: tuple[str, ...], tmp_path: Path) -> None:
    tags = ['"{}"'.format(lists[row % 3].replace('"', '""')) for row in range(ROWS)]
    content = csv({"n": [str(row) for row in range(ROWS)], "tags": tags})
    dataset = read(tmp_path, content, MULTILABEL, target="tags")
    assert dataset.preprocessing["labels"] == ["red", "round"]
    assert whole(dataset).sum(axis=0).tolist() == [ROWS // 3, 2 * ROWS // 3]
    assert "are written as lists" in codes(dataset)["labels_separator_guessed"].message


def test_a_given_separator_and_untidy_cells(tmp_path: Path) -> None:
    content = table(["red round", "red red", "", "big"])
    dataset = read(tmp_path, content, MULTILABEL, target="tags", labels_separator=" ")
    assert dataset.preprocessing["labels"] == ["big", "red", "round"]
    told = codes(dataset)["untidy_labels"]
    assert told.count == ROWS // 4 and "row 3" in told.message
    with pytest.raises(FormatError, match="what divides them") as caught:
        read(tmp_path, content, MULTILABEL, target="tags")
    assert caught.value.option == "labels_separator"
    with pytest.raises(ValueError, match="signs or blanks, got 'x'"):
        upload(tmp_path, content, MULTILABEL, target="tags", labels_separator="x")


def test_what_is_missing_is_what_the_options_say(tmp_path: Path) -> None:
    content = table(["red;round", "red", "", "?"])
    dataset = read(tmp_path, content, MULTILABEL, target="tags")
    assert dataset.preprocessing["labels"] == ["?", "red", "round"], "a word is a label"
    given = {"target": "tags", "missing": ["", "?"]}
    with pytest.raises(FormatError, match="row 4, column 'tags': the labels are missing"):
        read(tmp_path, content, MULTILABEL, **given)
    dataset = read(tmp_path, content, MULTILABEL, **given, unlabelled=True)
    assert dataset.preprocessing["labels"] == ["red", "round"]
    assert dataset.sizes["unlabelled"] == ROWS // 2 and "no_labels" not in codes(dataset)


def flags(words: tuple[str, str] = ("1", "0")) -> dict[str, list[str]]:
    """A column a label, of the same samples as `cells`."""
    has = [{tag.strip() for tag in found.split(";")} for found in cells()]
    return {
        name: [words[0] if name in found else words[1] for found in has]
        for name in ("round", "big", "red")
    }


@pytest.mark.parametrize("words", [("1", "0"), ("yes", "no")])
def test_a_column_a_label(words: tuple[str, str], tmp_path: Path) -> None:
    content = csv({"a": [f"{row}.5" for row in range(ROWS)], **flags(words)})
    names = ["round", "big", "red"]
    dataset = read(tmp_path, content, MULTILABEL, target=names)
    assert dataset.preprocessing["labels"] == names, "in the order in which they are named"
    assert whole(dataset).sum(axis=0).tolist() == [ROWS // 3, ROWS // 3, 4 * ROWS // 6]
    told = codes(dataset)["no_labels"]
    assert told.count == ROWS // 6 and told.where == "row 4"
    found = {column.name: (column.kind, column.role) for column in dataset.columns}
    assert found == {"a": ("number", "input")} | dict.fromkeys(names, ("boolean", "target"))


def test_a_column_a_label_says_yes_or_no(tmp_path: Path) -> None:
    columns = flags()
    columns["big"][7] = "perhaps"
    content = csv({"a": [f"{row}.5" for row in range(ROWS)], **columns})
    with pytest.raises(FormatError, match="row 9, column 'big': 'perhaps' is neither") as caught:
        read(tmp_path, content, MULTILABEL, target=["big", "red"])
    assert caught.value.option == "target"
    with pytest.raises(FormatError, match="a classification has one, got 2"):
        read(tmp_path, content, "tabular_classification", target=["big", "red"])
    hole = csv({"a": ["1", "2", "3"], "b": ["1", "", "0"], "c": ["0", "1", "0"]})
    with pytest.raises(FormatError, match="row 3, column 'b': '' is neither yes nor no"):
        read(tmp_path, hole, MULTILABEL, target=["b", "c"])


def test_texts_and_pictures_have_a_column_a_label_too(tmp_path: Path) -> None:
    words = [f"thing {row} of wood" for row in range(ROWS)]
    dataset = read(
        tmp_path, csv({"what": words, **flags()}), MULTILABEL, target=["red", "big"], text="what"
    )
    assert dataset.task.form == "text_classification"
    assert dataset.preprocessing["labels"] == ["red", "big"]
    assert codes(dataset)["columns_ignored"].where == "round"
    names = [f"{row}.png" for row in range(ROWS)]
    table = csv({"file": names, **flags()}).decode()
    dataset = read(tmp_path, pictures(table, names), MULTILABEL, target=["red", "big"])
    assert whole(dataset).sum(axis=0).tolist() == [4 * ROWS // 6, ROWS // 3]


def parquet(lists: pa.Array) -> bytes:
    buffer = io.BytesIO()
    table = pa.table({"a": [row + 0.5 for row in range(ROWS)], "tags": lists})
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("labels", [["red", "round", "big"], ["a;b", "c", "d"]])
def test_lists_of_parquet_are_labels(labels: list[str], tmp_path: Path) -> None:
    names = dict(zip(("red", "round", "big"), labels, strict=True))
    lists = [[names[t.strip()] for t in found.split(";") if t] for found in cells()]
    dataset = read(tmp_path, parquet(pa.array(lists)), MULTILABEL, target="tags")
    assert dataset.preprocessing["labels"] == sorted(labels)
    of_label = dict(zip(sorted(labels), whole(dataset).sum(axis=0).tolist(), strict=True))
    assert of_label == {labels[0]: 4 * ROWS // 6, labels[1]: ROWS // 3, labels[2]: ROWS // 3}
    sign = dataset.preprocessing["labels_separator"]
    assert not any(sign in name for name in labels)
    assert "labels_separator_guessed" not in codes(dataset)
    with pytest.raises(ValueError, match="column 'tags' holds list"):  # as an input nothing
        read(tmp_path, parquet(pa.array(lists)), "tabular_regression", target="a")


def test_one_label_in_each_list_needs_no_separator(tmp_path: Path) -> None:
    lists = pa.array([[row % 3] for row in range(ROWS)])
    dataset = read(tmp_path, parquet(lists), MULTILABEL, target="tags")
    assert dataset.preprocessing["labels"] == ["0", "1", "2"]
    with pytest.raises(ValueError, match="of which a value has !; options"):
        wrong = pa.array([["a!b"] for _ in range(ROWS)])
        read(tmp_path, parquet(wrong), MULTILABEL, target="tags", labels_separator="!")


def test_rare_and_common_labels_are_told(tmp_path: Path) -> None:
    tags = ["x;y"] * (ROWS - 3) + ["x;z"] * 3
    told = codes(read(tmp_path, table(tags), MULTILABEL, target="tags"))
    assert told["rare_class"].where == "z" and told["rare_class"].count == 3
    assert {told["common_label"].where, told["common_label"].count} <= {"x", "y", 0, 3}
    with pytest.raises(FormatError, match="no cell of 'tags' has a label"):
        read(tmp_path, table([""]), MULTILABEL, target="tags", labels_separator=";")


def test_a_column_of_texts_is_named_or_the_file_is_a_table(tmp_path: Path) -> None:
    content = csv({"what": [f"thing {row} of wood" for row in range(ROWS)], "tags": cells()})
    given = upload(tmp_path, content, MULTILABEL, target="tags")
    assert format_of(given) == "tabular"
    dataset = read(tmp_path, content, MULTILABEL, target="tags", text="what")
    assert dataset.task.form == "text_classification" and dataset.task.outputs == 3
    assert whole(dataset).sum(axis=0).tolist() == [ROWS // 3, 4 * ROWS // 6, ROWS // 3]
    with pytest.raises(FormatError, match="has no meaning") as caught:
        read(tmp_path, content, MULTILABEL, target="tags", text="what", columns={"what": "text"})
    assert caught.value.option == "columns"


def test_a_zip_of_pictures_with_a_table_of_their_labels(tmp_path: Path) -> None:
    names = [f"mine/{'a' if row % 2 else 'b'}/{row}.png" for row in range(60)]
    rows = [
        f"{name.removeprefix('mine/')},{tags}" for name, tags in zip(names, cells(), strict=False)
    ]
    content = pictures("\n".join(["file,tags", *rows]), names, **{"readme.txt": b"hello"})
    dataset = read(tmp_path, content, MULTILABEL, target="tags")
    assert dataset.task.form == "image_classification" and dataset.task.input_shape == (1, 4, 4)
    assert codes(dataset)["files_ignored"].where == "readme.txt"
    assert [column.name for column in dataset.columns] == ["file", "tags"]
    labels = dataset.preprocessing["labels"]
    for part, raw in ((dataset.test, dataset.raw_test),):
        for grey, has in zip(raw.x[:, 0, 0].tolist(), part.y.tolist(), strict=True):
            found = {name for name, is_there in zip(labels, has, strict=True) if is_there}
            assert found == {tag.strip() for tag in cells()[grey].split(";")} - {""}


def test_folders_divide_pictures_with_labels(tmp_path: Path) -> None:
    names = [f"{['train', 'train', 'val', 'test'][row % 4]}/{row}.png" for row in range(48)]
    rows = [f"{row}.png,{tags}" for row, tags in zip(range(48), cells(), strict=False)]
    dataset = read(tmp_path, pictures("\n".join(["file,tags", *rows]), names), MULTILABEL)
    assert dataset.sizes == {"train": 24, "validation": 12, "test": 12}


REFUSED: Mapping[str, tuple[str | None, list[str], str]] = {
    "no table": (None, ["1.png"], "one labels.csv, or one CSV or TSV, got no CSV"),
    "no such picture": ("f,t\n1.png,a;b\n3.png,a", ["1.png"], r"row 3: '3\.png' names no picture"),
    "several": ("f,t\n1.png,a;b", ["a/1.png", "b/1.png"], "names several pictures"),
    "twice": ("f,t\n1.png,a;b\n1.png,b", ["1.png"], "row 3: '1.png' is in row 2 as well"),
    "no names": ("f,t\nx,a;b", ["1.png"], "no column has the names of pictures"),
    "without labels": (
        "f,t\n1.png,a;b",
        ["1.png", "2.png"],
        "1 of 2 pictures have no row in .*: 2",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_say_the_labels_of_every_picture_is_refused(
    case: str, tmp_path: Path
) -> None:
    labels, names, message = REFUSED[case]
    with pytest.raises(FormatError, match=message):
        read(tmp_path, pictures(labels, names), MULTILABEL)


def test_pictures_without_a_row_may_be_unlabelled(tmp_path: Path) -> None:
    names = [f"{row}.png" for row in range(40)]
    rows = [f"{row}.png,{tags}" for row, tags in zip(range(30), cells(), strict=False)]
    content = pictures("\n".join(["file,tags", *rows]), names)
    dataset = read(tmp_path, content, MULTILABEL, unlabelled=True)
    assert dataset.sizes["unlabelled"] == 10


def test_arrays_of_pictures_with_a_matrix_of_labels(tmp_path: Path) -> None:
    x = np.arange(60 * 16, dtype=np.int64).reshape(60, 4, 4).astype(np.uint8)
    y = np.array([[row % 2, row % 3 == 0, 1 - row % 2] for row in range(60)])
    dataset = read(tmp_path, npz(x=x, y=y, labels=np.array(["odd", "third", "even"])), MULTILABEL)
    assert dataset.preprocessing["labels"] == ["odd", "third", "even"]
    assert whole(dataset).sum(axis=0).tolist() == [30, 20, 30]
    named = read(tmp_path, npz(x=x, y=y), MULTILABEL)
    assert named.preprocessing["labels"] == ["label_0", "label_1", "label_2"]
    for arrays, message in (
        ({"y": y[:, 0]}, r"\(N, labels\) of 0 and 1, got \(60,\)"),
        ({"y": 2 * y}, "holds 0 and 1 alone"),
        ({"y": y * 0}, "no sample has the label 'label_0'"),
        ({"y": y[:50]}, "y has a row a sample, 60, got 50"),
        ({"y": y, "labels": np.array(["a"])}, "a name for each of the 3 columns"),
        ({"y": y, "labels": np.array(["a", "a", "b"])}, "got 'a' twice"),
    ):
        with pytest.raises(ValueError, match=message):
            read(tmp_path, npz(x=x, **arrays), MULTILABEL)


def test_a_fold_knows_every_label_that_it_is_scored_on(tmp_path: Path) -> None:
    tags = cells()
    tags[5] = "once;red"
    columns = {"a": [f"{row}.5" for row in range(ROWS)], "tags": tags}
    given = {"target": "tags", "validation": {"folds": 4}}
    dataset = read(tmp_path, csv(columns), MULTILABEL, **given)
    assert len(dataset.folds) == 4
    for fold in dataset.folds:
        assert not (fold.validation.y & ~fold.train.y.any(dim=0)).any()
        assert fold.train.y.shape[1] == dataset.task.outputs == 4


def test_every_set_has_its_share_of_every_label() -> None:
    """Also of combinations that are there once: 400 samples of 12 labels have some 300."""
    rng = np.random.default_rng(0)
    labels = rng.random((400, 12)) < np.linspace(0.02, 0.6, 12)
    groups = np.minimum(np.arange(400), 350)  # fifty samples are equal
    for of_groups in (None, groups):
        placed = by_label(labels, (0.2, 0.2), np.random.default_rng(1), of_groups)
        for part, share in enumerate((0.6, 0.2, 0.2)):
            wanted, found = share * labels.sum(axis=0), labels[placed == part].sum(axis=0)
            slack = 1 if of_groups is None else 50
            assert (np.abs(found - wanted) <= np.maximum(slack, 0.15 * wanted)).all()
        if of_groups is not None:
            assert len(set(placed[350:].tolist())) == 1
    again = by_label(labels, (0.2, 0.2), np.random.default_rng(1))
    assert (again == by_label(labels, (0.2, 0.2), np.random.default_rng(1))).all()


def test_the_first_samples_of_a_label_are_for_training() -> None:
    labels = np.zeros((30, 2), bool)
    labels[:, 0], labels[7, 1] = True, True
    for seed in range(10):
        assert by_label(labels, (0.4, 0.4), np.random.default_rng(seed))[7] == 0
