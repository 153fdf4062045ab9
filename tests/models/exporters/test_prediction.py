"""`predict.py` of a bundle: from what people have to what they want to know."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from models import checkpoint
from models.datasets import Split, images
from models.datasets.series import forecasting
from tests.models.support.bundles import bundle_of, files_of
from tests.models.support.uploads import read
from tests.support.command_line import Nasmith, nasmith

__all__ = ["nasmith"]

ROWS = 90
RNG = np.random.default_rng(0)


def script(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"predict_{folder}", folder / "predict.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder: Path, *arguments: str) -> tuple[list[dict[str, str]], str]:
    """What the command prints, in a process without Nasmith on its path."""
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "predict.py"), *arguments],
        capture_output=True,
        text=True,
        cwd="/",
    )
    if done.returncode:
        raise RuntimeError(f"{done.returncode}: {done.stderr}")
    return list(csv.DictReader(io.StringIO(done.stdout))), done.stderr


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [f"{v:.1f}".replace(".", ",") for v in RNG.normal(40, 10, ROWS)],
            "member": ["ja", "nein", "ja"] * (ROWS // 3),
            "since": [f"{1 + i % 28:02}.{1 + i % 12:02}.2024" for i in range(ROWS)],
            "city": [["Köln", "Bonn", "Ulm"][i % 3] for i in range(ROWS)],
            "left": ["yes", "no"] * (ROWS // 2),
        }
    )


@pytest.fixture(scope="module")
def table(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    content = frame.to_csv(index=False, sep=";").encode()
    dataset = read(folder, content, "tabular_classification", target="left")
    return bundle_of(dataset, "mlp", folder)


def test_the_raw_file_gives_what_the_rows_give(
    frame: pd.DataFrame, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text(frame.to_csv(index=False, sep=";"))
    printed, remarks = run(table, str(tmp_path / "new.csv"))
    model = script(table).load(table)
    by_rows = model.predict(frame.to_dict("records"))
    assert [row["label"] for row in printed] == [row["label"] for row in by_rows]
    assert remarks == "not used: left\n"
    assert set(by_rows[0]) == {"label", "probability_no", "probability_yes"}
    for row, shown in zip(by_rows, printed, strict=True):
        assert row["probability_no"] + row["probability_yes"] == pytest.approx(1)
        assert float(shown["probability_no"]) == row["probability_no"]
        assert row["label"] == max(("no", "yes"), key=lambda name: row[f"probability_{name}"])
    turned = frame[frame.columns[::-1]]
    assert model.predict(turned) == by_rows, "a data frame, in another order of its columns"
    assert model.predict(frame.to_dict("list")) == by_rows
    alone = model.predict([frame.to_dict("records")[4]])[0]
    assert alone == pytest.approx(by_rows[4], abs=1e-6)
    listed = json.loads((table / "manifest.json").read_text())
    assert "predict.py" in listed["files"] and set(listed["missing"]) == {"model.onnx", "model.pt2"}
    assert "read_picture" not in (table / "predict.py").read_text()
    (row,) = re.findall(r"predict\(\[(\{.*\})\]\)", (table / "README.md").read_text())
    example = json.loads(row)  # of the train split, as it stood in the file
    assert list(example) == model.columns
    assert example in frame[model.columns].to_dict("records")
    assert len(model.predict([example])) == 1


def test_cells_mean_what_they_meant_in_training(table: Path) -> None:
    model = script(table).load(table)
    row = {"age": "40,5", "member": "ja", "since": "02.03.2024", "city": "Ulm"}
    typed = {"age": 40.5, "member": True, "since": "2024-03-02", "city": " Ulm "}
    assert model.predict([row]) == model.predict([typed])
    model.predict([{**row, "city": "Atlantis"}, {**row, "city": None}])
    assert model.unknown == {"city": 1}
    with pytest.raises(ValueError, match=r"row 1 has no column 'city': it has 'City'"):
        model.predict([row, {**{k: v for k, v in row.items() if k != "city"}, "City": "Ulm"}])
    assert len(model.predict([{"age": "7"}], missing="fill")) == 1
    known = model.predict([row])
    model.preprocessing["columns"][3]["name"] = "gr\u00f6\u00dfe"
    apart = {**row, "gro\u0308\u00dfe": row["city"]}
    assert model.predict([apart]) == model.predict({k: [v] for k, v in apart.items()}) == known
    with pytest.raises(ValueError, match="no sample"):
        model.predict([])


def test_what_cells_and_columns_do_not_say_is_told(table: Path) -> None:
    model = script(table).load(table)
    columns = {
        "age": ["41", "", "old", "9e99"],
        "member": [True, "maybe", None, False],
        "since": ["2024-03-02", "soon", "", "02.03.2024"],
        "city": ["Ulm", "Rom", "Rom", ""],
        "Left": ["", "", "", ""],
    }
    model.predict(columns)
    assert model.unreadable == {"age": 2, "member": 1, "since": 1}
    assert model.empty == {"age": 1, "member": 1, "since": 1, "city": 1}
    assert (model.unknown, model.ignored, model.filled) == ({"city": 2}, ["Left"], [])
    missing = {name: cells for name, cells in columns.items() if name != "age"}
    with pytest.raises(ValueError, match=r"the table has no column 'age': its columns are member"):
        model.predict(missing)
    assert model.predict(missing, missing="fill") == model.predict({**columns, "age": [""] * 4})
    model.predict(missing, missing="fill")
    assert model.told()[:2] == ["not used: Left", "not given, counted as missing: age"]
    with pytest.raises(ValueError, match="column 'city' has 1 rows, others have 4"):
        model.predict({**columns, "city": ["Ulm"]})
    with pytest.raises(ValueError, match="row 0 is list, not a mapping"):
        model.predict([["41", "ja", "", "Ulm"]])
    assert model.predict([{"age": math.inf, **{k: None for k in missing}}]) == model.predict(
        [{"age": None, **{k: None for k in missing}}]
    )


def test_a_share_without_its_sign_is_told(tmp_path: Path) -> None:
    """What a person may mean by 5 in a column of 5 %, nobody knows."""
    lines = [f"{row}%,{row % 2}" for row in range(1, 61)]
    dataset = read(tmp_path, "\n".join(["rate,y", *lines]).encode(), "tabular_classification",
                   target="y")  # fmt: skip
    folder, _ = files_of(dataset, "mlp", tmp_path)
    model = script(folder).load(folder)
    as_share = model.predict([{"rate": "5%"}, {"rate": 0.05}])
    assert (model.unsigned, as_share[0]) == ({"rate": 1}, as_share[1])
    model.predict([{"rate": "5"}, {"rate": "0"}, {"rate": ""}])
    assert model.told()[-1] == "without a percent sign in 'rate', where 5 is 500 %: 1"


def test_what_is_no_row_is_called_so(frame: pd.DataFrame, table: Path) -> None:
    model = script(table).load(table)
    row = frame[model.columns].iloc[3]
    assert model.predict(row) == model.predict(row.to_dict()) == model.predict([row.to_dict()])
    for samples, message in (
        (None, "samples are a list of them, got NoneType"),
        ("new.csv", r"new.csv is a name: predict\(read"),
        (Path("new.csv"), "new.csv is a name"),
        (frame.to_numpy(), "an array of numbers is needed: .*numpy.object_"),
        (frame.set_axis(["age", "member", "since", "city", "city"], axis=1), "'city' more than"),
        (
            np.full((2, *model.preprocessing["input"]["shape"]), np.inf),
            "sample 0 has a value that is no finite",
        ),
        ([{"Age": 1, "members": 2, "since": "", "city": ""}], "'age', 'member': it has 'Age', 'm"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(samples)
    with pytest.raises(ValueError, match="missing is 'error' or 'fill', got 'drop'"):
        model.predict(row, missing="drop")


def test_the_command_is_one_of_a_pipe(
    frame: pd.DataFrame,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module, content = script(table), frame.to_csv(index=False, sep=";").encode("utf-16")
    model = module.load(table)
    assert (
        "\nColumns that it needs: age, member, since, city\n"
        in module.parser_of(model, "a CSV").format_help()
    )

    def printed(*arguments: str, given: bytes = b"") -> str:
        monkeypatch.setattr(sys, "argv", ["predict.py", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        module.main(model, "a CSV")
        return capsys.readouterr().out

    new = tmp_path / "new rows.csv"
    new.write_bytes(content)
    assert printed("-", given=content) == printed(str(new)) != ""
    for arguments, message in (
        (["-"], "standard input is empty"),
        ([str(new), "--encoding", "latin-99"], "unknown encoding: latin-99"),
        ([str(tmp_path)], "Is a directory"),
    ):
        with pytest.raises(SystemExit) as ended:
            printed(*arguments)
        assert ended.value.code == 2 and message in capsys.readouterr().err
    read_end, write_end = os.pipe()
    os.close(read_end)
    with monkeypatch.context() as patch, open(write_end, "w") as closed:
        patch.setattr(sys, "stdout", closed)
        with pytest.raises(SystemExit) as ended:
            printed(str(new))
    assert ended.value.code == 141 and capsys.readouterr().err == ""


def test_what_cannot_be_read_ends_with_a_line(table: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("age;member\n1;2;3\n")
    with pytest.raises(RuntimeError, match=r"2: predict.py: row 2 has 3 cells, the header 2"):
        run(table, str(tmp_path / "new.csv"))
    with pytest.raises(RuntimeError, match=r"2: predict.py: .*No such file"):
        run(table, str(tmp_path / "nothing.csv"))
    (tmp_path / "new.csv").write_text("age;age;member\n1;2;3\n")
    with pytest.raises(RuntimeError, match="the header has column 'age' more than once"):
        run(table, str(tmp_path / "new.csv"))


def test_a_file_may_have_a_title_a_mark_and_signs_at_the_end_of_its_lines(
    frame: pd.DataFrame, table: Path, tmp_path: Path
) -> None:
    plain, odd = tmp_path / "plain.csv", tmp_path / "odd.csv"
    plain.write_text(frame.to_csv(index=False, sep=";"))
    lines = [f"{line};" for line in plain.read_text().splitlines()]
    odd.write_text("\r\n".join(["Members of 2024", "", *lines, ""]), encoding="utf-16")
    assert run(table, str(odd)) == run(table, str(plain))
    odd.write_text("\n".join([*lines, "1,5;ja"]))
    with pytest.raises(RuntimeError, match="row 92 has 2 cells, the header 5"):
        run(table, str(odd))


def test_what_is_no_row_of_a_file_is_left_out_and_told(
    frame: pd.DataFrame, table: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.csv"
    frame.to_csv(new, sep=";")
    model = script(table).load(table)
    plain = frame[model.columns].to_dict("list")
    assert {name: model.read([str(new)])[name] for name in plain} == plain, "with pandas' index"
    new.write_text(frame.to_csv(sep=";").replace("\n", "\n;[years];;;;\n", 1) + "Total;9,5;;;;\n")
    assert {name: model.read([str(new)])[name] for name in plain} == plain
    assert [line.partition(",")[0] for line in model.told()] == [
        "a second row of names",
        "the last row",
    ]
    new.write_bytes(b"%PDF-1.7")
    with pytest.raises(ValueError, match="is a PDF, no table in text; copy its table"):
        model.read([str(new)])


def test_the_command_line_predicts_with_a_bundle(
    nasmith: Nasmith, frame: pd.DataFrame, table: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.csv"
    new.write_text(frame.to_csv(index=False, sep=";"))
    as_made = shutil.ignore_patterns("__pycache__")  # of what other tests have imported
    shutil.copytree(table, tmp_path / "as_made", ignore=as_made)
    archive = shutil.make_archive(str(tmp_path / "bundle"), "zip", tmp_path / "as_made")
    done = nasmith("predict", archive, str(new), "--out", str(tmp_path / "out.csv"))
    assert done.code == 0, done.err
    found = pd.read_csv(tmp_path / "out.csv").to_dict("records")
    assert found == script(table).load(table).predict(frame)
    new.write_text("age;member\n1;ja\n")
    done = nasmith("predict", str(table), str(new), "--out", str(tmp_path / "no.csv"))
    assert done.code == 2 and not (tmp_path / "no.csv").exists()
    done = nasmith("predict", str(tmp_path), str(new))
    assert done.code == 2 and "has no predict.py" in done.err
    done = nasmith("predict", str(new), str(new))
    assert done.code == 2 and f"{new}: the bundle is no whole zip" in done.err
    done = nasmith("predict", archive, str(new), "--out", str(tmp_path))
    assert done.code == 2 and f"--out: {tmp_path} is a folder" in done.err


def test_a_python_without_torch_is_told_what_to_install(
    nasmith: Nasmith, table: Path, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys._base_executable} -I -S "$@"\n')
    python.chmod(0o755)
    done = nasmith("predict", str(table), "new.csv", "--python", str(python))
    assert done.code == 2
    assert "lacks torch and safetensors" in done.err and "pip install torch" in done.err


@pytest.mark.parametrize("transform", ["none", "log"])
def test_values_are_in_the_targets_own_unit(
    frame: pd.DataFrame, tmp_path: Path, transform: str
) -> None:
    price = [f"{1000 + 10 * i}" for i in range(ROWS)]
    content = frame.assign(price=price).to_csv(index=False, sep=";").encode()
    dataset = read(tmp_path, content, "tabular_regression", target="price")
    settings = {"target_transform": transform, "loss": "huber", "input_transform": "quantile"}
    folder = bundle_of(dataset, "mlp", tmp_path, **settings)
    model = script(folder).load(folder)
    outputs = model.outputs(frame.to_dict("list"))[:, 0].double().numpy()
    target = dataset.preprocessing["target"]
    found = [row["price"] for row in model.predict(frame.to_dict("list"))]
    train = dataset.train.y[:, 0].double().numpy() * target["std"][0] + target["mean"][0]
    if transform == "none":
        np.testing.assert_allclose(found, outputs * target["std"][0] + target["mean"][0])
    else:  # of prices, which are all positive
        unit = np.quantile(train, 0.5, method="lower")
        logs = np.log1p(train / unit)
        back = np.expm1(outputs * logs.std() + logs.mean()) * unit
        np.testing.assert_allclose(found, back, rtol=1e-6)


def test_pictures_are_files_or_arrays(tmp_path: Path) -> None:
    x = RNG.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    dataset = images.from_arrays("p", x, np.arange(60) % 2)
    folder = bundle_of(dataset, "cnn_stages", tmp_path)
    model = script(folder).load(folder)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, pixels in zip(paths, x, strict=False):
        Image.fromarray(pixels).save(path)
    by_array = model.predict(x[:3])
    assert model.predict(paths) == by_array
    assert model.predict(x[0])[0] == pytest.approx(by_array[0], abs=1e-6)
    printed, _ = run(folder, *map(str, paths))
    assert [int(row["label"]) for row in printed] == [row["label"] for row in by_array]
    with pytest.raises(ValueError, match="0 to 1, the model was trained on 0 to 255"):
        model.predict(x[:3].astype(np.float32) / 255)
    with pytest.raises(ValueError, match="0 to 255, as in training, got -128 to 127"):
        model.predict(np.int16([0, 255])[RNG.integers(0, 2, (1, 8, 8))] - 128)
    with pytest.raises(ValueError, match="not a picture"):
        model.predict([Path(folder / "model.py")])
    assert model.predict([paths[0], x[1], x[2]]) == by_array, "some of each"
    (tmp_path / "shares").mkdir()
    shares = images.from_arrays("p", (x / 255).astype(np.float32), np.arange(60) % 2)
    folder, _ = files_of(shares, "cnn_stages", tmp_path / "shares")
    model = script(folder).load(folder)
    assert len(model.predict((x[:3] / 255).astype(np.float32))) == 3
    with pytest.raises(ValueError, match=r"trained on values up to 1; divide them by 255"):
        model.predict(x[:3])
    with pytest.raises(ValueError, match="sample 1 has a value that is no finite number"):
        model.predict(np.stack([x[0], x[1] * np.nan]))


def test_a_model_of_four_channels_sees_the_transparency_of_files(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(40):
            pixels = RNG.integers(0, 256, (8, 8, 4), dtype=np.uint8)
            picture = io.BytesIO()
            Image.fromarray(pixels).save(picture, "PNG")
            archive.writestr(f"{'ab'[number % 2]}/{number}.png", picture.getvalue())
    dataset = read(tmp_path, buffer.getvalue(), "image_classification", channels=4)
    assert dataset.task.input_shape == (4, 8, 8)
    folder = bundle_of(dataset, "cnn_stages", tmp_path)
    model, path = script(folder).load(folder), tmp_path / "last.png"
    path.write_bytes(picture.getvalue())
    (found,) = model.predict([path])
    assert found == model.predict(pixels[None])[0]
    clear = pixels.copy()
    clear[..., 3] = 0
    assert model.predict(clear[None])[0] != found


def test_texts_and_series(tmp_path: Path) -> None:
    lines = [f'"word{i % 7} and more of it {i}",{"ab"[i % 2]}' for i in range(60)]
    content = "\n".join(["text,label", *lines]).encode()
    (tmp_path / "t").mkdir()
    dataset = read(tmp_path / "t", content, "text_classification", target="label")
    folder = bundle_of(dataset, "transformer", tmp_path / "t")
    model = script(folder).load(folder)
    (tmp_path / "new.txt").write_text("word3 and more\nnever, seen\n")
    printed, remarks = run(folder, str(tmp_path / "new.txt"))
    expected = model.predict(["word3 and more", "never, seen"])
    assert [row["label"] for row in printed] == [row["label"] for row in expected]
    assert "unknown in 'text': 3" in remarks, "a comma is a token as well"
    (tmp_path / "new.csv").write_text('no,text\n1,"word3 and more"\n2,"never, seen"\n')
    printed, remarks = run(folder, str(tmp_path / "new.csv"))
    assert [row["label"] for row in printed] == [row["label"] for row in expected]
    assert "not used: no" in remarks
    (alone,) = model.predict([{"text": "word3 and more"}])
    assert alone == pytest.approx(expected[0], abs=1e-6)
    model.predict(pd.Series(["word3", None, " "]))
    assert model.told() == ["empty in 'text': 2"]
    with pytest.raises(ValueError, match="no column 'text': it has 'txt'"):
        model.predict([{"txt": "word3"}])
    assert len(model.outputs(dataset.raw_rows)) == len(dataset.test)

    values = RNG.normal(size=(120, 2)).cumsum(axis=0)
    (tmp_path / "s").mkdir()
    dataset = forecasting("s", values, ["load", "heat"], ["heat"], window=6, horizon=3)
    folder = bundle_of(dataset, "rnn", tmp_path / "s")
    other = script(folder).load(folder)
    recent = pd.DataFrame(values[-10:], columns=["load", "heat"])
    steps = other.predict(recent)
    assert [step["step"] for step in steps] == [1, 2, 3] and set(steps[0]) == {"step", "heat"}
    (by_array,) = other.outputs(values[-6:]).double().tolist()
    target = dataset.preprocessing["target"]
    own = [value * target["std"][0] + target["mean"][0] for value in by_array]
    assert [step["heat"] for step in steps] == pytest.approx(own, rel=1e-6)
    with pytest.raises(ValueError, match="the series has no column 'load': it has 'loads'"):
        other.predict(recent.rename(columns={"load": "loads"}))
    with pytest.raises(ValueError, match="there is no row to predict from"):
        other.predict(recent.head(0))
    with pytest.raises(ValueError, match="6 rows of the series are needed, got 2"):
        other.predict(recent.tail(2))
    with pytest.raises(ValueError, match="column 'heat' has 3 rows, others have 6"):
        other.predict({"load": list(range(6)), "heat": [1.0, 2.0, 3.0]})
    assert model.predict(["word3 and more"])[0] == pytest.approx(expected[0], abs=1e-6), "not mixed"


def test_forecasts_have_their_times_from_rows_in_either_order(tmp_path: Path) -> None:
    days = pd.date_range("2026-01-01", periods=120).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"day": days, "load": RNG.normal(size=120).cumsum().round(4)})
    frame["price"] = RNG.normal(size=120).round(4)
    panel = pd.concat([frame.assign(shop=shop) for shop in ("a", "b")])
    options: dict[str, Any] = {"time": "day", "target": "load", "series": "shop"}
    options |= {"window": 6, "horizon": 2, "known": ["calendar", "price"]}
    content = panel.to_csv(index=False).encode()
    dataset = read(tmp_path, content, "forecasting", **options)
    folder = bundle_of(dataset, "rnn", tmp_path, {"window_scaling": "last"})
    model = script(folder).load(folder)
    raw = dataset.raw_test
    assert isinstance(raw, Split)
    expected = model.outputs(raw.x[-1])  # of shop b, without its last two days
    assert (
        checkpoint.load(str(tmp_path / "weights.safetensors")).architecture.decisions[
            "window_scaling"
        ]
        == "last"
    )
    panel.loc[panel.day >= "2026-04-29", "load"] = None
    newest_first = panel[::-1]
    assert torch.equal(model.outputs(newest_first[newest_first.shop == "b"].head(20)), expected)
    assert model.told() == ["rows were given newest first and were turned round"]
    steps = model.predict(panel)
    assert not model.told()
    named = [(step["shop"], step["time"], step["step"]) for step in steps]
    times = ["2026-04-29", "2026-04-30"]
    assert named == [(shop, t, n) for shop in "ab" for n, t in enumerate(times, 1)]
    assert steps[0]["load"] == steps[2]["load"]
    assert model.predict(panel.set_index("day")) == steps, "its times are the index"
    (tmp_path / "recent.csv").write_bytes(panel.to_csv(index=False).encode())
    found = subprocess.run(
        [sys.executable, "-P", str(folder / "predict.py"), str(tmp_path / "recent.csv")],
        capture_output=True,
        text=True,
        check=True,
    )
    written = list(csv.DictReader(io.StringIO(found.stdout)))
    assert [row["time"] for row in written] == times * 2 and not found.stderr
    assert [float(row["load"]) for row in written] == [step["load"] for step in steps]
    with pytest.raises(ValueError, match=r"column 'day'.*are 172800 seconds, the usual step"):
        model.predict(panel.drop(panel.index[-4]))
    _check_a_short_series(model, panel, steps)
    _check_filled_columns(model, panel, panel[:120].price[:72].mean())


def _check_a_short_series(model: Any, panel: pd.DataFrame, steps: list[dict[str, Any]]) -> None:
    """That others are forecast as without it, and that it is told by name."""
    short = pd.concat([panel[panel.shop == "a"].tail(5), panel[panel.shop == "b"]])
    nothing = dict.fromkeys(("time", "step", "load"))
    assert model.predict(short) == [*steps[2:], {"shop": "a", **nothing}]
    why = "6 rows of the series are needed, got 3 of 'a'"
    assert model.no_forecast == {"a": why} and model.told() == [f"no forecast of a: {why}"]
    assert len(model.outputs(short)) == 1
    broken = panel.copy()
    broken.iloc[200, panel.columns.get_loc("day")] = "2026-03-20"  # of b, now there twice
    with pytest.raises(ValueError, match=r"row 200, column 'day': .* is not later than"):
        model.predict(broken)
    with pytest.raises(ValueError, match="are needed, got 3 of 'a'"):
        model.predict(short[short.shop == "a"])


def _check_filled_columns(model: Any, panel: pd.DataFrame, mean_price: float) -> None:
    """A number that is not given counts as its mean in train: of both shops, which are equal."""
    without = panel.drop(columns="price")
    with pytest.raises(ValueError, match="the series has no column 'price'"):
        model.predict(without)
    filled = model.predict(without, missing="fill")
    assert model.filled == ["price"]
    assert model.told() == ["not given, counted as missing: price"]
    usual = model.predict(panel.assign(price=mean_price))
    assert [step["load"] for step in filled] == pytest.approx([step["load"] for step in usual])
    (one, two) = model.predict(panel[panel.shop == "b"].drop(columns="shop"), missing="fill")
    (same, then) = model.predict(panel[panel.shop == "b"])
    assert ({**one, "shop": "b"}, {**two, "shop": "b"}) == (same, then)
    with pytest.raises(ValueError, match="the series has no column 'load'"):
        model.predict(panel.drop(columns="load"), missing="fill")
