"""Splits that come with the data, and samples that stay together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from models.datasets import Dataset
from models.datasets.formats import FormatError
from models.datasets.splits import Division, joined, stratified
from models.remarks import Role
from tests.models.support.uploads import csv, npz, read

ROWS = 90
CLASSES = [str(row % 2) for row in range(ROWS)]
WORDS = ["Train", "TRAINING ", "valid", "dev", "Validation", "val", "test", "Testing", "train"]
PART_OF = {"train": 0, "training": 0, "valid": 1, "dev": 1, "validation": 1, "val": 1}


def table(**more: list[str]) -> bytes:
    """Column `n` is the number of the row, so that a split shows its rows."""
    return csv({"n": [str(row) for row in range(ROWS)], "label": CLASSES, **more})


def rows_of(found: Dataset) -> list[list[int]]:
    """The numbers in `n` of train, validation and test."""
    (step,) = [step for step in found.preprocessing["steps"] if step["op"] == "standardize"]
    return [
        sorted((split.x[:, 0].double() * step["std"][0] + step["mean"][0]).round().int().tolist())
        for split in (found.train, found.validation, found.test)
    ]


def tabular(folder: Path, content: bytes, **options: Any) -> Dataset:
    return read(folder, content, "tabular_classification", target="label", **options)


def told(found: Dataset) -> dict[str, Any]:
    return {remark.code: remark for remark in found.remarks}


def test_a_column_divides_the_rows_in_every_usual_spelling(tmp_path: Path) -> None:
    words = [WORDS[row % len(WORDS)] for row in range(ROWS)]
    found = tabular(tmp_path, table(part=words), split_column="part")
    places = [PART_OF.get(word.strip().lower(), 2) for word in words]
    assert rows_of(found) == [[r for r in range(ROWS) if places[r] == p] for p in range(3)]
    (column,) = [column for column in found.columns if column.name == "part"]
    assert column.role is Role.IGNORED and column.note is not None and "divides" in column.note
    assert found.task.input_shape == (1,)
    assert not {"validation_from_train", "test_from_train"} & told(found).keys()


@pytest.mark.parametrize(
    "words",
    [
        ("tr", "VA", "te"),
        ("Training set", "Dev_Set", "hold-out"),
        ("in-sample", "tuning", "Out of sample"),
        ("TRAIN", "VALIDATE", "OOS"),
        ("train1", "val_v2", "test3"),
        ("1_train", "2_valid", "3_test"),
        ("x_train", "x_val", "x_test"),
        ("entrenamiento", "validación", "prueba"),
        ("Trainingsdaten", "Validierung", "Testdaten"),
        ("训练集", "验证集", "测试集"),
        ("обучающая выборка", "валидация", "тест"),
        ("0", "1", "2"),
        ("1.0", "2.0", "3.0"),
    ],
)
def test_a_column_divides_the_rows_in_other_words(words: tuple[str, ...], tmp_path: Path) -> None:
    parts = [0 if row % 3 == 0 or row < 30 else row % 3 for row in range(ROWS)]
    found = tabular(tmp_path, table(part=[words[p] for p in parts]), split_column="part")
    assert rows_of(found) == [[r for r in range(ROWS) if parts[r] == p] for p in range(3)]
    assert ("split_guessed" in told(found)) == (words[0] in ("0", "1.0"))


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("is_train", "True", "False"),
        ("TrainFlag", "1", "0"),
        ("in_test", "0", "1"),
        ("isTest", "no", "yes"),
    ],
)
def test_a_column_says_yes_or_no_of_the_part_in_its_name(
    name: str, yes: str, no: str, tmp_path: Path
) -> None:
    """`yes`: of a row of train. The other rows are test, and validation is drawn."""
    cells = [no if row % 3 == 0 else yes for row in range(ROWS)]
    found = tabular(tmp_path, table(**{name: cells}), split_column=name)
    assert rows_of(found)[2] == list(range(0, ROWS, 3))
    assert {"split_guessed", "validation_from_train"} <= told(found).keys()
    shown = f"{yes.lower()} is train (60 rows)"
    assert shown in told(found)["split_guessed"].message
    is_valid = table(is_valid=[yes if row % 3 == 0 else no for row in range(ROWS)])
    if name == "is_train":
        assert rows_of(tabular(tmp_path, is_valid, split_column="is_valid"))[1] == list(
            range(0, ROWS, 3)
        )


@pytest.mark.parametrize("task", ["tabular_classification", "tabular_regression"])
def test_a_part_that_is_missing_is_drawn_from_train_and_told(task: str, tmp_path: Path) -> None:
    words = ["test" if row % 3 == 0 else "train" for row in range(ROWS)]
    content = table(part=words)
    found = read(tmp_path, content, task, target="label", split_column="part")
    train, validation, test = rows_of(found)
    assert test == list(range(0, ROWS, 3))
    assert sorted(train + validation) == [row for row in range(ROWS) if row % 3]
    assert len(validation) == 12 == told(found)["validation_from_train"].count  # a fifth of 60
    if task == "tabular_classification":  # half of them of each class
        assert sum(row % 2 for row in validation) == 6


@pytest.mark.parametrize(
    ("column", "is_told"),
    [
        ({"part": [("train", "Test")[row % 5 == 0] for row in range(ROWS)]}, True),
        ({"is_test": [("0", "1")[row % 5 == 0] for row in range(ROWS)]}, True),
        ({"test": [("yes", "no")[row % 5 == 0] for row in range(ROWS)]}, False),
        ({"vehicle": [("train", "bus")[row % 5 == 0] for row in range(ROWS)]}, False),
    ],
)
def test_a_column_that_seems_to_divide_the_rows_is_told_where_nobody_says_so(
    column: dict[str, list[str]], is_told: bool, tmp_path: Path
) -> None:
    (name,) = column
    content = table(**column)
    assert ("split_column_unused" in told(tabular(tmp_path, content))) == is_told
    said = tabular(tmp_path, content, columns={name: "category"})
    assert "split_column_unused" not in told(said)


def test_texts_are_divided_by_columns_too(tmp_path: Path) -> None:
    texts = [f"w{row} again" for row in range(ROWS)]
    words = [("train", "val", "test")[row % 3] for row in range(ROWS)]
    content = csv({"text": texts, "label": CLASSES, "part": words})
    found = read(tmp_path, content, "text_classification", target="label", split_column="part")
    assert found.labelled_sizes == (30, 30, 30)
    assert {f"w{row}" for row in range(0, ROWS, 3)} <= set(found.preprocessing["vocabulary"])
    by_group = csv({"text": texts, "label": CLASSES, "who": [str(r // 9) for r in range(ROWS)]})
    grouped = read(tmp_path, by_group, "text_classification", target="label", group_column="who")
    assert all(size % 9 == 0 for size in grouped.labelled_sizes)
    assert told(grouped)["groups"].count == 10


def test_rows_of_a_group_stay_together_and_equal_rows_with_them(tmp_path: Path) -> None:
    people = [f"p{row // 5}" for row in range(ROWS)]
    found = tabular(tmp_path, table(who=people), group_column="who")
    for rows in rows_of(found):
        assert {row // 5 for row in rows} and len(rows) == 5 * len({row // 5 for row in rows})
    assert told(found)["groups"].count == 18 and found.task.input_shape == (1,)
    # row 4 of the first person is row 85 of the last one again: both are one group then
    columns = {"n": [str(85 if row == 4 else row) for row in range(ROWS)], "who": people}
    both = tabular(tmp_path, csv(columns | {"label": CLASSES}), group_column="who")
    (part,) = [set(rows) for rows in rows_of(both) if 85 in rows]
    assert {0, 1, 2, 3, 85, 86, 87, 88, 89} <= part
    assert told(both)["groups_joined"].count == 1
    named = tabular(tmp_path, table(who=people), group_column="who", columns={"who": "category"})
    (column,) = [column for column in named.columns if column.name == "who"]
    assert column.role is Role.INPUT and named.task.input_shape[0] > 1


def test_equal_rows_across_a_given_split_are_told(tmp_path: Path) -> None:
    numbers = [str(row % 60) for row in range(ROWS)]  # the last 30 repeat the first
    words = ["train" if row < 60 else ("val", "test")[row % 2] for row in range(ROWS)]
    content = csv({"n": numbers, "label": CLASSES, "part": words})
    found = told(tabular(tmp_path, content, split_column="part"))
    assert found["duplicates"].count == 30 and found["equal_across_splits"].count == 30


def wrong(row: int, value: str) -> list[str]:
    return [value if r == row else ("train", "test")[r % 2] for r in range(ROWS)]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (table(part=wrong(7, "kept back")), {"split_column": "part"},
         "row 9, column 'part': 'kept back' is no part of a split; known are train, "),
        (table(part=wrong(7, "")), {"split_column": "part"}, "row 9, column 'part': ''"),
        (table(part=["train"] * ROWS), {"split_column": "part"}, "got only train"),
        (table(part=["1" if row % 3 else "0" for row in range(ROWS)]), {"split_column": "part"},
         "'0' is no part of a split; .*yes and no in a column called is_train"),
        (table(part=[str(min(row % 4, 2)) for row in range(ROWS)]), {"split_column": "part"},
         "'0' is no part of a split; .*0, 1 and 2, for .*, where 0 has most rows"),
        (table(who=["a"] * ROWS), {"group_column": "who"},
         "three splits need three groups or more, 'who' has 1$"),
        (table(), {"split_column": "part"}, "there is no column 'part'"),
        (table(), {"split_column": "label"}, "'label' is what the network predicts"),
        (table(part=wrong(0, "val")), {"split_column": "part", "columns": {"part": "category"}},
         "'part' divides the rows and is no input"),
        (table(part=wrong(0, "val")), {"split_column": "part", "group_column": "part"},
         "is the split_column as well"),
        (table(part=wrong(0, "val")), {"split_column": "part", "split": {"test": 0.1}},
         "test has no meaning where 'part' gives its rows"),
        (table(part=wrong(0, "val"), who=["a"] * ROWS),
         {"split_column": "part", "group_column": "who"},
         "group 'a' is in validation in row 2 and in test in row 3"),
        (table(who=[str(row % 2) for row in range(ROWS)]), {"group_column": "who"},
         "three splits need three groups or more, 'who' has 2"),
        (table(who=["" if row == 3 else "a" for row in range(ROWS)]), {"group_column": "who"},
         "row 5, column 'who': the group is missing, got ''"),
        (table(who=["n/a" if row == 3 else str(row) for row in range(ROWS)]),
         {"group_column": "who"}, "row 5, column 'who': the group is missing, got 'n/a'"),
        (table(who=["x" if row == 3 else f"p{row}" for row in range(ROWS)]),
         {"group_column": "who", "missing": ["X"]}, "row 5, column 'who': the group is missing"),
        (csv({"n": [str(row) for row in range(ROWS)], "label": ["a"] * 60 + ["a", "b"] * 15,
              "part": ["train"] * 60 + ["val"] * 15 + ["test"] * 15}), {"split_column": "part"},
         "all samples of the given train are of one class, validation or test have others"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(
    content: bytes, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        tabular(tmp_path, content, **options)


def test_groups_that_may_be_one_are_told(tmp_path: Path) -> None:
    people = [["Ann", "ann ", "Bob", "Cy", "Di"][row % 5] for row in range(ROWS)]
    found = told(tabular(tmp_path, table(who=people), group_column="who"))
    assert (found["similar_categories"].where, found["similar_categories"].count) == ("who", 18)
    assert found["groups"].count == 5


def test_few_rows_many_times_over_are_copies_where_numbers_tell_them_apart(tmp_path: Path) -> None:
    kinds = [str(row % 30) for row in range(ROWS)]  # 30 rows, each three times
    words = [("train", "val", "test")[row // 30] for row in range(ROWS)]
    labels = [str(row % 30 // 15) for row in range(ROWS)]
    content = {"n": kinds, "m": [f"{int(k) ** 2 / 7:.3f}" for k in kinds], "label": labels}
    drawn = tabular(tmp_path, csv(content))
    assert sorted({row for rows in rows_of(drawn) for row in rows}) == list(range(30))
    assert sum(len(set(rows)) for rows in rows_of(drawn)) == 30, "each is in one split"
    given = told(tabular(tmp_path, csv({**content, "part": words}), split_column="part"))
    assert given["duplicates"].count == given["equal_across_splits"].count == 60
    dice = {"n": [str(r % 6) for r in range(ROWS)], "m": [str(r % 5) for r in range(ROWS)]}
    assert "duplicates" not in told(tabular(tmp_path, csv({**dice, "label": labels})))


def test_columns_do_not_divide_a_series(tmp_path: Path) -> None:
    content = csv({"t": [str(row) for row in range(60)], "v": ["1"] * 60, "part": ["train"] * 60})
    options = {"time": "t", "target": "v", "window": 2, "horizon": 1, "split_column": "part"}
    with pytest.raises(FormatError, match="has no meaning for forecasting"):
        read(tmp_path, content, "forecasting", **options)


def test_divided_sequences_are_kept_and_unknown_arrays_refused(tmp_path: Path) -> None:
    x = np.arange(40 * 6, dtype=np.float32).reshape(40, 6, 1)
    y = np.arange(40) % 2
    arrays = {"x_train": x[:20], "y_train": y[:20], "x_test": x[20:], "y_test": y[20:]}
    found = read(tmp_path, npz(**arrays), "sequence_classification")
    np.testing.assert_array_equal(found.raw_test.x, x[20:])
    assert found.labelled_sizes == (16, 4, 20)
    assert told(found)["validation_from_train"].count == 4
    train = x[:20][~np.isin(x[:20, 0, 0], _raw(found)[:, 0, 0])]
    (step,) = found.preprocessing["steps"]
    assert step["mean"] == pytest.approx([train.mean()])
    with pytest.raises(ValueError, match=r"unknown array 'x_hold'; expected is an \.npz with x"):
        read(tmp_path, npz(**arrays, x_hold=x), "sequence_classification")


def _raw(found: Dataset) -> Any:
    (step,) = found.preprocessing["steps"]
    return (found.validation.x.double() * step["std"][0] + step["mean"][0]).round().numpy()


def test_groups_are_divided_as_evenly_as_scikit_learn_divides_them() -> None:
    """Deviation of the class shares of a fifth of the data, over 20 draws of 60 groups: not
    worse than StratifiedGroupKFold's, whose rule is the like.
    """
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for seed in range(20):
        groups = np.repeat(np.arange(60), rng.integers(2, 12, 60))
        tendency = rng.beta(0.7, 2.0, 60)
        y = (rng.random(len(groups)) < tendency[groups]).astype(np.int64)
        chosen = stratified(y, (0.2, 0.2), seed, groups)[2]
        assert not np.isin(groups[chosen], np.delete(groups, chosen)).any()
        ours.append(abs(y[chosen].mean() - y.mean()))
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        fold = next(iter(folds.split(y, y, groups)))[1]
        theirs.append(abs(y[fold].mean() - y.mean()))
    assert np.mean(ours) < 0.02 and np.mean(ours) < 1.5 * np.mean(theirs)


def test_three_groups_fill_three_splits() -> None:
    groups, y = np.repeat([0, 1, 2], 10), np.tile([0, 1], 15)
    sets = Division(groups=groups).sets(30, (0.2, 0.2), 0, y)
    found = {frozenset(groups[chosen].tolist()) for chosen in sets}
    assert found == {frozenset({0}), frozenset({1}), frozenset({2})}


def test_what_is_too_few_is_said_in_its_number() -> None:
    one = Division(groups=np.zeros(30, dtype=np.int64))
    with pytest.raises(ValueError, match="30 samples of 1 group are too few for sets of"):
        one.sets(30, (0.2, 0.2), 0, np.tile([0, 1], 15))


def test_joined_groups_are_the_connected_ones() -> None:
    first, second = np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 1, 2, 3, 4])
    found = joined(first, second)
    assert found is not None
    assert found.tolist() == [0, 0, 0, 0, 1, 2]
