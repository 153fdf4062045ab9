"""`predict.py` of a model of pictures: the same picture gives the same answer in every form, and
pixels of another scale than that of training are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.exporters.test_prediction import script
from tests.models.support.bundles import files_of
from tests.models.support.uploads import npz, read

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 8, 10, 3), dtype=np.uint8)
Y = np.arange(40) % 2
FIRST = np.moveaxis(X, -1, 1)


def model_of(folder: Path, x: Any) -> Any:
    folder.mkdir()
    place, _ = files_of(read(folder, npz(x=x, y=Y), "image_classification"), "cnn_stages", folder)
    return script(place).load(place)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of arrays of bytes with their channels first, and of floats of 0 to 1."""
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(X[0]).save(folder / "0.png")
    found = {"bytes": model_of(folder / "b", FIRST), "ones": model_of(folder / "o", X / 255)}
    return {**found, "file": folder / "0.png"}


@pytest.mark.parametrize(
    "form",
    [
        X[:3],
        FIRST[:3],
        X[:3].astype(np.float64),
        X[:3].astype(np.int64),
        torch.tensor(X[:3]),
        list(X[:3]),
        list(FIRST[:3]),
        [FIRST[0], Image.fromarray(X[1]), torch.tensor(X[2])],
    ],
)
def test_a_picture_is_the_same_in_every_form(form: Any, models: dict[str, Any]) -> None:
    model = models["bytes"]
    expected = [model.predict(X[place])[0] for place in range(3)]
    found = model.predict(form)
    assert [row["label"] for row in found] == [row["label"] for row in expected]
    for row, like in zip(found, expected, strict=True):
        assert row["probability_1"] == pytest.approx(like["probability_1"], abs=1e-6)
    by_file = model.predict(models["file"])
    assert by_file == model.predict([Image.open(models["file"])]) == model.predict(X[0])


@pytest.mark.parametrize(
    ("name", "form", "message"),
    [
        ("bytes", X[:3] / 255, "0 to 1, the model was trained on 0 to 255; multiply them by 255"),
        ("bytes", X[:3].astype(np.uint16) * 257, "up to 65535, the model was trained .* 255"),
        ("ones", X[:3], "up to 255, the model was trained on values up to 1"),
        ("ones", [X[0]], "up to 255, the model was trained on values up to 1"),
        ("ones", [Image.fromarray(X[0])], "go to 255, .* on arrays of values up to 1; give it"),
        ("bytes", X[:3, ..., 0], r"a sample has shape \(8, 10, 3\), got \(3, 8, 10\)"),
        ("bytes", [None], "a picture is a path or an array, got NoneType"),
    ],
)
def test_pixels_of_another_scale_and_what_is_none_are_refused(
    name: str, form: Any, message: str, models: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=message):
        models[name].predict(form)


def test_what_bytes_and_floats_of_one_scale_say_is_one(models: dict[str, Any]) -> None:
    found = models["ones"].predict(X[:3] / 255)
    like = models["bytes"].predict(X[:3])
    for row, other in zip(found, like, strict=True):
        assert row["probability_1"] == pytest.approx(other["probability_1"], abs=1e-4)


def test_arrays_of_samples_are_known_by_their_usual_names(models: Any, tmp_path: Path) -> None:
    model, file = models["bytes"], tmp_path / "new.npz"
    for names in (("test_images",), ("Images", "train_images"), ("X_new",), ("xTest", "xVal")):
        np.savez(file, **dict.fromkeys(names, FIRST[:3]), test_labels=Y[:3])
        if names in (("test_images",), ("Images", "train_images")):
            np.testing.assert_array_equal(model.read([str(file)]), FIRST[:3])
            continue
        what = (
            "are several, xTest, xVal"
            if len(names) > 1
            else "is no array 'x'; it has X_new, test_la"
        )
        with pytest.raises(ValueError, match=f"one array of samples is needed, there {what}"):
            model.read([str(file)])
