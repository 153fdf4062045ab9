from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

from models.datasets import Dataset, datasets, tabular
from models.datasets.downloads import Download
from models.datasets.fingerprint import fingerprint
from models.datasets.images import from_arrays
from models.datasets.preprocess import apply, source
from models.datasets.splits import stratified
from models.task import Task

DIGITS_FINGERPRINT = "0d736095d156e6f5acff3d3906e9b117347365f7c06a9be4b71753323ae7f333"


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets["digits"].load()


def images(count: int = 60, shape: tuple[int, ...] = (6, 5), classes: int = 3) -> Any:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    return x, np.arange(count) % classes


BUNDLED = [name for name, source in datasets.items() if not isinstance(source, Download)]


@pytest.mark.parametrize("name", BUNDLED)
def test_every_dataset_keeps_the_promises_of_its_type(name: str) -> None:
    dataset = datasets[name].load()
    assert dataset.name == name and dataset.task.name == datasets[name].task_name
    assert datasets[name].description
    assert len(dataset.fingerprint) == 64 and int(dataset.fingerprint, 16)
    json.dumps(dict(dataset.preprocessing), allow_nan=False)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.x.shape == (len(split), *dataset.task.input_shape)
        assert split.x.dtype == torch.float32 and split.x.isfinite().all()
        if dataset.task.name == "tabular_regression":
            assert split.y.shape == (len(split), dataset.task.outputs)
            assert split.y.dtype == torch.float32 and split.y.isfinite().all()
        else:
            assert split.y.dtype == torch.int64
            assert split.y.unique().tolist() == list(range(dataset.task.outputs))
    assert list(dataset.raw_test.x.shape[1:]) == dataset.preprocessing["input"]["shape"]
    assert str(dataset.raw_test.x.dtype) == "torch." + dataset.preprocessing["input"]["dtype"]
    assert torch.equal(dataset.raw_test.y, dataset.test.y)
    assert torch.equal(apply(dataset.raw_test.x, dataset.preprocessing), dataset.test.x)


@pytest.mark.parametrize(
    ("name", "bunch"),
    [
        ("wine", load_wine()),
        ("breast_cancer", load_breast_cancer()),
        ("diabetes", load_diabetes(scaled=False)),
    ],
)
def test_tables_are_those_of_scikit_learn(name: str, bunch: Any) -> None:
    dataset = datasets[name].load()
    names = [column["name"] for column in dataset.preprocessing["columns"]]
    assert names == list(bunch.feature_names)
    assert sum(dataset.sizes.values()) == len(bunch.data)
    known = dict(zip(map(bytes, bunch.data.astype(np.float64)), bunch.target, strict=True))
    for row, y in zip(dataset.raw_test.x, dataset.raw_test.y, strict=True):
        target = known[bytes(row.numpy())]
        if "classes" in dataset.preprocessing:
            assert dataset.preprocessing["classes"][y] == bunch.target_names[target]
        else:
            scale = dataset.preprocessing["target"]
            assert y.item() * scale["std"][0] + scale["mean"][0] == pytest.approx(target, rel=1e-5)


def test_a_table_is_standardised_on_train_alone() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(5, 3, 50), np.full(50, 7.0)])
    y = rng.normal(-2, 4, (50, 2))
    columns = dict(zip("ab", x.T, strict=True))
    dataset = tabular.regression("t", columns, dict(zip("cd", y.T, strict=True)))
    assert dataset.task.input_shape == (1,), "b is the same in every row"
    for part in (dataset.train.x, dataset.train.y):
        assert part.mean(dim=0).abs().max() < 1e-6
        assert (part.std(dim=0, correction=0) - 1).abs().max() < 1e-6
    assert dataset.test.x[:, 0].mean().abs() > 1e-3
    moved = y.copy()
    moved[np.isin(x[:, 0], dataset.raw_test.x[:, 0])] += 100
    again = tabular.regression("t", columns, dict(zip("cd", moved.T, strict=True)))
    assert again.preprocessing == dataset.preprocessing
    assert again.fingerprint != dataset.fingerprint


def test_digits_are_those_of_scikit_learn(digits: Dataset) -> None:
    assert digits.task == Task("image_classification", (1, 8, 8), 10)
    assert digits.sizes == {"train": 1079, "validation": 359, "test": 359}
    bunch = load_digits()
    known = {
        image.tobytes(): label for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    for raw, label in zip(digits.raw_test.x, digits.raw_test.y, strict=True):
        assert known[raw.double().numpy().tobytes()] == label
    standardize = digits.preprocessing["steps"][-1]
    raw = [
        (split.x * standardize["std"][0] + standardize["mean"][0]).reshape(len(split), -1)
        for split in (digits.train, digits.validation, digits.test)
    ]
    found = torch.cat(raw).round().double().numpy()
    assert sorted(map(tuple, found)) == sorted(map(tuple, bunch.data))  # every sample, once


def test_the_split_of_digits_never_changes(digits: Dataset) -> None:
    assert digits.fingerprint == DIGITS_FINGERPRINT


def test_preprocessing_is_fitted_on_the_train_split_alone() -> None:
    x, y = images()
    x_test, y_test = images(30)
    plain = from_arrays("a", x, y, x_test, y_test)
    other = from_arrays("a", x, y, 255 - x_test, y_test)
    assert plain.preprocessing == other.preprocessing
    assert plain.train.x.mean().item() == pytest.approx(0, abs=1e-6)
    assert plain.train.x.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert abs(plain.validation.x.mean().item()) > 1e-6


def test_a_split_that_comes_with_the_data_is_kept() -> None:
    x, y = images()
    x_test, y_test = images(30)
    dataset = from_arrays("a", x, y, x_test, y_test, validation=0.25)
    assert dataset.sizes == {"train": 45, "validation": 15, "test": 30}
    assert np.array_equal(dataset.raw_test.x.numpy(), x_test)
    assert dataset.validation.y.bincount().tolist() == [5, 5, 5]


def test_colour_images_come_channels_first_and_each_channel_standardised() -> None:
    x, y = images(40, (6, 5, 3))
    dataset = from_arrays("a", x, y)
    assert dataset.task.input_shape == (3, 6, 5)
    mean = dataset.train.x.mean(dim=(0, 2, 3))
    assert torch.allclose(mean, torch.zeros(3), atol=1e-6)
    step = dataset.preprocessing["steps"][-1]
    pixel = dataset.raw_test.x[0, 2, 4, 1].item() / 255
    expected = (pixel - step["mean"][1]) / step["std"][1]
    assert dataset.test.x[0, 1, 2, 4].item() == pytest.approx(expected, rel=1e-5)


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    x, y = images(40, (6, 5, 3))
    x[..., 2] = 7
    assert from_arrays("a", x, y).train.x[:, 2].abs().max() == 0


def test_string_labels_become_the_classes_in_order() -> None:
    x, y = images(classes=2)
    dataset = from_arrays("a", x, np.array(["dog", "cat"])[y])
    assert dataset.preprocessing["classes"] == ["cat", "dog"]
    assert dataset.task.outputs == 2


def bad(**changes: Any) -> dict[str, Any]:
    x, y = images()
    return {"x": x, "y": y, **changes}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (bad(x=np.zeros((60, 30), np.uint8)), r"x is \(N, H, W\).*got \(60, 30\)"),
        (bad(x=np.zeros((60, 6, 5, 9), np.uint8)), r"1 to 4.*got \(60, 6, 5, 9\)"),
        (bad(x=np.zeros((0, 6, 5), np.uint8), y=np.zeros(0, int)), r"got \(0, 6, 5\)"),
        (bad(x=np.zeros((60, 6, 5))), "uint8 or float32, got float64"),
        (bad(x=np.full((60, 6, 5), np.nan, np.float32)), "not finite, first in sample 0"),
        (bad(y=np.zeros(59, int)), r"y is \(60,\).*got \(59,\)"),
        (bad(y=np.zeros(60)), "integers or strings, got float64"),
        (bad(y=np.zeros(60, int)), "one class"),
        (bad(x_test=images()[0]), "come together"),
        (bad(x_test=np.zeros((3, 5, 5), np.uint8), y_test=np.zeros(3, int)), r"\(5, 5\)"),
        (bad(x_test=images(3)[0], y_test=np.array([0, 1, 7])), r"not: \[7\]"),
        (bad(validation=0.5, test=0.5), "add up to less than 1"),
        (bad(x=images(4)[0], y=np.array([0, 0, 1, 2])), "too few"),
    ],
)
def test_bad_arrays_are_refused_with_the_reason(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_arrays("a", **arguments)


@settings(deadline=None, max_examples=40)
@given(
    counts=st.lists(st.integers(10, 60), min_size=1, max_size=6),
    shares=st.sampled_from([(0.2, 0.2), (0.25,), (0.1, 0.3)]),
    seed=st.integers(0, 2**31),
)
def test_a_stratified_split_meets_its_shares_in_every_class(
    counts: list[int], shares: tuple[float, ...], seed: int
) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    sets = stratified(y, shares, seed)
    assert np.array_equal(np.sort(np.concatenate(sets)), np.arange(len(y)))
    for share, chosen in zip(shares, sets[1:], strict=True):
        assert abs(len(chosen) - share * len(y)) <= 0.5 + 1e-9
        for label, count in enumerate(counts):
            assert abs(np.count_nonzero(y[chosen] == label) - share * count) <= 1 + 1e-9


def test_a_split_is_a_function_of_its_seed() -> None:
    y = np.arange(100) % 5
    same = zip(stratified(y, (0.2,), 3), stratified(y, (0.2,), 3), strict=True)
    assert all(np.array_equal(first, second) for first, second in same)
    assert not np.array_equal(stratified(y, (0.2,), 3)[1], stratified(y, (0.2,), 4)[1])


@given(y=st.lists(st.integers(0, 3), min_size=30, max_size=60), seed=st.integers(0, 2**31))
def test_groups_stay_together_and_are_no_matter_where_there_are_none(
    y: list[int], seed: int
) -> None:
    classes = np.array(y)
    alone = stratified(classes, (0.2, 0.2), seed, np.arange(len(y))[::-1].copy())
    for one, other in zip(alone, stratified(classes, (0.2, 0.2), seed), strict=True):
        assert np.array_equal(one, other)
    # groups 0 and 1 have about an eighth of the samples each, the others are alone
    drawn = np.random.default_rng(seed).integers(0, 8, len(y)).tolist()
    groups = np.array([n if n < 2 else 2 + i for i, n in enumerate(drawn)])
    sets = stratified(classes, (0.2, 0.2), seed, groups)
    assert np.array_equal(np.sort(np.concatenate(sets)), np.arange(len(y)))
    assert sum(len(np.unique(groups[chosen])) for chosen in sets) == len(np.unique(groups))
    assert set(classes[sets[0]]) == set(y)


def test_groups_have_the_shares_of_their_classes_in_every_set() -> None:
    """Pairs, triples and single samples of three classes, the rarest a tenth."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 4, 600)
    y = np.repeat(rng.choice(3, 600, p=[0.6, 0.3, 0.1]), sizes)
    groups = np.repeat(np.arange(600), sizes)
    sets = stratified(y, (0.2, 0.2), 0, groups)
    for chosen, share in zip(sets, (0.6, 0.2, 0.2), strict=True):
        for label in range(3):
            there, every = (y[chosen] == label).sum(), (y == label).sum()
            assert abs(there - share * every) <= 2
        pairs = np.count_nonzero(np.bincount(groups[chosen]) == 2)
        assert abs(pairs / np.count_nonzero(sizes == 2) - share) < 0.1  # not all in the first set


def test_every_class_is_in_the_train_split_however_rare() -> None:
    y = np.array([0] * 50 + [1, 2, 3])
    assert set(y[stratified(y, (0.45, 0.45), 0)[0]]) == {0, 1, 2, 3}


def test_the_fingerprint_is_of_content_types_and_split() -> None:
    x, y = images()
    base = from_arrays("a", x, y)
    assert from_arrays("b", x.copy(), y.astype(np.int32)).fingerprint == base.fingerprint
    pixel = x.copy()
    pixel[3, 2, 1] ^= 1
    label = y.copy()
    label[3] = (label[3] + 1) % 3
    others = [
        from_arrays("a", pixel, y),
        from_arrays("a", x, label),
        from_arrays("a", x, y, seed=1),
        from_arrays("a", x.astype(np.float32), y),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_the_fingerprint_knows_byte_order_and_shape() -> None:
    array = np.arange(6, dtype="<i4")
    assert fingerprint({"x": array}) == fingerprint({"x": array.astype(">i4")})
    assert fingerprint({"x": array}) != fingerprint({"x": array.reshape(2, 3)})
    assert fingerprint({"x": array, "y": array[:0]}) != fingerprint({"x": array[:0], "y": array})


def test_the_source_of_preprocess_runs_on_torch_alone(digits: Dataset) -> None:
    namespace: dict[str, Any] = {}
    exec("import torch\n\n\n" + source(digits.task.name), namespace)  # noqa: S102 - our own text
    preprocess = namespace["preprocess"]
    assert torch.equal(preprocess(digits.raw_test.x, dict(digits.preprocessing)), digits.test.x)
    as_a_user_has_them = torch.from_numpy(load_digits().images[:3])  # float64
    assert preprocess(as_a_user_has_them, dict(digits.preprocessing)).shape == (3, 1, 8, 8)


def test_preprocessing_takes_no_sample_and_refuses_a_wrong_one(digits: Dataset) -> None:
    assert apply(torch.zeros(0, 8, 8), digits.preprocessing).shape == (0, 1, 8, 8)
    with pytest.raises(ValueError, match=r"\(8, 8\), got a batch of \(1, 28, 28\)"):
        apply(torch.zeros(1, 28, 28), digits.preprocessing)
    with pytest.raises(ValueError, match="unknown preprocessing step 'rotate'"):
        apply(torch.zeros(1, 2), {"input": {"shape": [2]}, "steps": [{"op": "rotate"}]})
