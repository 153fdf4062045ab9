"""Predictions of this model, from data as people have them.

On the command line `python predict.py INPUT > predictions.csv`; in Python

    import predict
    model = predict.load(".")
    model.predict(rows)

It needs torch and safetensors, numpy where arrays come in, and Pillow for picture files. INPUT is
a CSV with the columns that the model was trained on, pictures, texts as a CSV or one a line, or an
.npz with the arrays of a graph or of samples.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TextIO

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

# pictures: their reader stands here in a bundle
from models.datasets.pictures import PictureError, fitted, read_picture

# pictures.
# series: their reader stands here in a bundle
from models.exporters.recent_rows import Recent, SeriesError, recent_of

# series.
Missing = Literal["error", "fill"]

BATCH = 256
ROWS = 4096
SEPARATORS = (",", ";", "\t", "|")
TITLES = 20
MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


class PredictionError(ValueError):
    """Input that the model cannot take; the message names the column, row or file.

    row: its number, from 0 on, where it is one row; column: its name, where it is one column.
    """

    def __init__(self, message: str, row: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.row, self.column = row, column


class Predictor:
    """A model and how to ask it. Several in one process have nothing in common.

    Of the last call:
        unknown: values and tokens that training had not: how many, by column.
        unreadable: cells that show no number, date, or yes or no where one is: how many, by column;
            they count as missing.
        empty: cells without a value, by column.
        filled: columns that were not given and count as missing.
        ignored: columns that were given and that the model does not know.
        turned: whether rows of a series came newest first.
    """

    def __init__(self, folder: Path) -> None:
        module = _module(folder, "model")
        self._model, self._folder = module, folder
        self.preprocessing = json.loads((folder / "preprocessing.json").read_text())
        self.task = _form(json.loads((folder / "metrics.json").read_text())["task"])
        self.network: nn.Module = module.build().eval()
        self.network.load_state_dict(load_file(folder / "model.safetensors"))
        self._forget()

    def told(self) -> list[str]:
        """What there is to say of the last call, a line each."""
        lines = [f"not used: {', '.join(self.ignored)}"] if self.ignored else []
        if self.filled:
            lines.append(f"not given, counted as missing: {', '.join(self.filled)}")
        if self.turned:
            lines.append("rows were given newest first and were turned round")
        for what in ("unknown", "unreadable", "empty"):
            counts: dict[str, int] = getattr(self, what)
            lines += [f"{what} in {name!r}: {count}" for name, count in counts.items()]
        return lines

    def _forget(self) -> None:
        self.unknown: dict[str, int] = {}
        self.unreadable: dict[str, int] = {}
        self.empty: dict[str, int] = {}
        self.filled: list[str] = []
        self.ignored: list[str] = []
        self.turned = False

    @property
    def columns(self) -> list[str]:
        """That a row has, of a table, a series or texts in a table."""
        if "columns" in self.preprocessing:
            return [column["name"] for column in self.preprocessing["columns"]]
        if "text" in self.preprocessing:
            return [self.preprocessing["text"]]
        names = list(self.preprocessing.get("series", ()))
        if self.preprocessing.get("series_column"):
            names.insert(0, self.preprocessing["series_column"])
        if "time" in self.preprocessing:
            names.insert(0, self.preprocessing["time"]["name"])
        return names

    def predict(self, samples: Any, *, missing: Missing = "error") -> list[dict[str, Any]]:
        """One result a sample: `label` and `probability_<class>` of classes, calibrated, of which
        `label` need not be the largest where a threshold was chosen; of several labels a sample
        those with a probability of 1/2 or more, divided by their separator; the target's own values
        of a regression; of a forecast one a step, with its `time`, and its series where there are
        several.

        samples: rows of a table as mappings, or columns as a mapping or a data frame; texts, or
            rows with a column of them; paths of pictures, or arrays of them; the recent rows of
            series, then those of the steps to forecast where columns are known in advance; a
            mapping of the arrays of a graph; or raw samples as an array, as `preprocess` of
            model.py takes them.
        missing: "fill" has a column that is not given count as missing in every row.

        Raises:
            PredictionError: what is wrong, by name.
        """
        # series: of forecasting alone
        if self.task == "forecasting" and not _is_array(samples):
            self._forget()
            recent = self._recent(samples)
            outputs = self._outputs([self._windows(recent)])
            return [step for pair in zip(recent, outputs) for step in self._steps(*pair)]  # noqa: B905
        # series.
        outputs = self.outputs(samples, missing=missing)
        return list(self._results(outputs))

    def outputs(self, samples: Any, *, missing: Missing = "error") -> Tensor:
        """What the network says, before it is made readable.

        Shapes:
            (N, classes or labels) logits, or (N, outputs) standardised values
        """
        self._forget()
        return self._outputs(self._batches(samples, missing))

    def _outputs(self, batches: Iterable[Any]) -> Tensor:
        found = []
        with torch.inference_mode():
            for raw in batches:
                found.append(self.network(self._model.preprocess(raw, self.preprocessing)))
        if not found:
            raise PredictionError("there is no sample to predict from")
        return torch.cat(found)

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        if self.preprocessing["input"].get("kind") == "graph":
            yield self._graph(samples)
        elif self.task.startswith("tabular") and not _is_array(samples):
            columns, count = self._columns(samples, missing)
            for start in range(0, count, ROWS):
                yield self._encoded(columns, start)
        # series: of forecasting alone
        elif self.task == "forecasting" and not _is_array(samples):
            yield self._windows(self._recent(samples))
        # series.
        elif self.task == "text_classification" and not _is_array(samples):
            texts = self._texts(samples)
            for start in range(0, len(texts), BATCH):
                yield self._tokens(texts[start : start + BATCH], start)
        # pictures: of image classification alone
        elif self.task == "image_classification" and not _is_array(samples):
            paths = [samples] if isinstance(samples, str | Path) else list(samples)
            for start in range(0, len(paths), BATCH):
                yield torch.stack([self._picture(path) for path in paths[start : start + BATCH]])
        # pictures.
        else:
            raw = self._array(samples)
            for start in range(0, len(raw), BATCH):
                yield raw[start : start + BATCH]

    def _columns(self, samples: Any, missing: Missing) -> tuple[dict[str, list[Any]], int]:
        """The columns that the model knows, of rows, of a mapping of columns or of a data frame;
        and how many rows there are.
        """
        if hasattr(samples, "to_dict") and hasattr(samples, "columns"):
            samples = {name: list(samples[name]) for name in samples.columns}
        elif isinstance(samples, Mapping):
            first = next(iter(samples.values()), ())
            if isinstance(first, str) or not isinstance(first, Iterable):
                samples = [samples]
        if not isinstance(samples, Mapping):
            return self._of_rows(list(samples), missing)
        given = _even(samples)
        count = max(map(len, given.values()), default=0)
        self._tell_columns(given, missing, "the table")
        nothing = [None] * count
        return {name: given.get(name, nothing) for name in self.columns}, count

    def _of_rows(
        self, rows: list[Mapping[str, Any]], missing: Missing
    ) -> tuple[dict[str, list[Any]], int]:
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise PredictionError(
                    f"row {number} is {type(row).__name__}, not a mapping from columns to values",
                    number,
                )
        given = dict.fromkeys(name for row in rows for name in row)
        try:
            columns = {name: [row[name] for row in rows] for name in self.columns}
        except KeyError:
            if missing == "error":
                for number, row in enumerate(rows):
                    self._tell_columns(row, missing, f"row {number}", number)
            columns = {name: [row.get(name) for row in rows] for name in self.columns}
        if rows:
            self._tell_columns(given, missing, "the rows")
        return columns, len(rows)

    def _tell_columns(
        self, given: Iterable[Any], missing: Missing, where: str, row: int | None = None
    ) -> None:
        known, names = self.columns, list(map(str, given))
        self.ignored = [name for name in names if name not in known]
        self.filled = [name for name in known if name not in names]
        if missing == "fill" or not self.filled:
            return
        name = self.filled[0]
        others = {other.strip().lower(): other for other in names}
        near = get_close_matches(name.strip().lower(), others, 1)
        shown = ", ".join(names[:20]) or "none"
        has = f"it has {others[near[0]]!r}" if near else f"its columns are {shown}"
        raise PredictionError(
            f"{where} has no column {name!r}: {has}; missing='fill' has it count as missing",
            row,
            name,
        )

    def _encoded(self, columns: Mapping[str, list[Any]], start: int) -> Tensor:
        """The raw tensor of some rows; what of their cells says nothing is counted."""
        parts = []
        for column in self.preprocessing["columns"]:
            cells = columns[column["name"]][start : start + ROWS]
            part = self._model.encode_column(cells, column)
            if column["kind"] != "text" and column["name"] not in self.filled:
                self._count(cells, part[:, 0], column)
            parts.append(part)
        return torch.cat(parts, dim=1)

    def _count(self, cells: list[Any], first: Tensor, column: Mapping[str, Any]) -> None:
        is_category = column["kind"] == "category"
        wordless = first < 0 if is_category else first.isnan()
        for row in wordless.nonzero().flatten().tolist():
            is_empty = self._model.text_of(cells[row]).lower() in column.get("missing", ("",))
            others = self.unknown if is_category else self.unreadable
            counts = self.empty if is_empty else others
            counts[column["name"]] = counts.get(column["name"], 0) + 1

    def _graph(self, samples: Any) -> dict[str, Tensor]:
        if not isinstance(samples, Mapping) and not hasattr(samples, "files"):
            raise PredictionError(
                f"a graph is a mapping of its arrays, got {type(samples).__name__}"
            )
        return {name: torch.as_tensor(samples[name]) for name in samples}

    def _texts(self, samples: Any) -> list[Any]:
        """Of strings, or of rows or columns with a column of texts."""
        if isinstance(samples, str):
            return [samples]
        is_table = hasattr(samples, "columns") or isinstance(samples, Mapping)
        if not is_table:
            samples = list(samples)
            is_table = bool(samples) and isinstance(samples[0], Mapping)
        if not is_table:
            return list(samples)
        if not self.columns:
            raise PredictionError("the model was trained on texts without a column's name")
        columns, _ = self._columns(samples, "error")
        texts = columns[self.columns[0]]
        return ["" if text is None or text != text else text for text in texts]

    def _tokens(self, texts: Sequence[Any], start: int) -> Tensor:
        for number, text in enumerate(texts, start):
            if not isinstance(text, str):
                raise PredictionError(
                    f"text {number} is {type(text).__name__}, not a string", number
                )
        tokens: Tensor = self._model.encode(texts, self.preprocessing)
        unknown = int((tokens == self.preprocessing["unknown"]).sum())
        if unknown:
            name = self.preprocessing.get("text", "text")
            self.unknown[name] = self.unknown.get(name, 0) + unknown
        return tokens

    # series: of forecasting alone
    def _recent(self, samples: Any) -> list[Recent]:
        try:
            found = recent_of(self._rows(samples), self.preprocessing)
        except SeriesError as error:
            raise PredictionError(str(error)) from None
        if not found:
            raise PredictionError("there is no row to predict from")
        self.turned = any(series.turned for series in found)
        return found

    def _rows(self, samples: Any) -> list[Mapping[str, Any]]:
        if hasattr(samples, "to_dict") and hasattr(samples, "columns"):
            samples = samples.to_dict("records")
        elif isinstance(samples, Mapping):
            given = _even(samples)
            samples = [
                dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)
            ]
        rows = list(samples)
        names = dict.fromkeys(name for row in rows for name in row)
        self.ignored = [name for name in names if name not in self.columns]
        return rows

    def _windows(self, recent: Sequence[Recent]) -> Tensor:
        return torch.tensor([series.window for series in recent], dtype=torch.float64)

    def _steps(self, recent: Recent, output: Tensor) -> Iterator[dict[str, Any]]:
        """The results of one series, each with its time."""
        for number, result in enumerate(self._results(output.unsqueeze(0))):
            named: dict[str, Any] = {}
            if recent.name is not None:
                named[self.preprocessing["series_column"]] = recent.name
            if recent.times is not None:
                named["time"] = recent.times[number]
            yield named | result

    # series.

    # pictures: of image classification alone
    def _picture(self, path: Any) -> Tensor:
        if not isinstance(path, str | Path):
            raise PredictionError(f"a picture is a path or an array, got {type(path).__name__}")
        shape = self.preprocessing["input"]["shape"]
        try:
            with Path(path).open("rb") as file:
                picture = fitted(read_picture(file), shape[0], shape[1])
        except PictureError as error:
            raise PredictionError(f"{path}: {error}") from None
        except OSError as error:
            raise PredictionError(f"{path}: {error.strerror}") from None
        raw = torch.from_numpy(picture.copy())
        if len(shape) == 3 and raw.dim() == 2:
            raw = raw.unsqueeze(-1).expand(*shape).contiguous()
        elif len(shape) == 2 and raw.dim() == 3:
            raw = (raw.to(torch.float32) @ torch.tensor([0.299, 0.587, 0.114])).round()
        return raw

    # pictures.

    def _array(self, samples: Any) -> Tensor:
        """Raw samples; a single one may come without its axis of samples."""
        is_numpy = hasattr(samples, "__array_interface__")  # perhaps one that may not be written to
        raw = torch.as_tensor(samples.copy() if is_numpy else samples)
        shape = self.preprocessing["input"]["shape"]
        if list(raw.shape) == shape:
            raw = raw.unsqueeze(0)
        if list(raw.shape[1:]) != shape:
            raise PredictionError(f"a sample has shape {tuple(shape)}, got {tuple(raw.shape)}")
        is_bytes = self.preprocessing["input"].get("dtype") == "uint8"
        if is_bytes and raw.is_floating_point() and raw.numel() and raw.max() <= 1:
            raise PredictionError(
                "the pictures look like values of 0 to 1, the model was trained on 0 to 255; "
                "multiply them by 255"
            )
        return raw

    def _results(self, outputs: Tensor) -> Iterator[dict[str, Any]]:
        """What the outputs say, a mapping a sample or a step.

        Shapes:
            outputs: (N, classes), or (N, outputs)
        """
        classes, target = self.preprocessing.get("classes"), self.preprocessing.get("target")
        if classes is not None:
            decision = self.preprocessing["decision"]
            shares = self._model.probabilities(outputs, decision)
            said = self._model.decided(outputs, decision["offsets"])
            names = ["label", *(f"probability_{name}" for name in classes)]
            labels = [classes[place] for place in said.tolist()]
            for label, row in zip(labels, shares.tolist(), strict=True):
                yield dict(zip(names, (label, *row), strict=True))
        elif (known := self.preprocessing.get("labels")) is not None:
            names, sign = (
                [f"probability_{name}" for name in known],
                self.preprocessing["labels_separator"],
            )
            for row in outputs.double().sigmoid().tolist():
                found = [name for name, share in zip(known, row, strict=True) if share >= 0.5]
                yield {"label": sign.join(found), **dict(zip(names, row, strict=True))}
        elif target is not None:
            names = target["names"]
            own = self._model.own_values(outputs, target).reshape(len(outputs), -1, len(names))
            for steps in own.tolist():
                for step, row in enumerate(steps, 1):
                    values = dict(zip(names, row, strict=True))
                    yield {"step": step, **values} if "horizon" in target else values
        else:
            for row in outputs.tolist():
                yield {f"output_{index}": value for index, value in enumerate(row)}


def load(folder: str | Path = ".") -> Predictor:
    """The model of a bundle's folder.

    Raises:
        FileNotFoundError: the folder is no bundle.
    """
    return Predictor(Path(folder).absolute())


def _form(task: Mapping[str, Any]) -> str:
    """The task, or of several labels a sample that with one class and the same input."""
    if task["name"] != "multilabel_classification":
        return str(task["name"])
    if len(task["input_shape"]) == 3:
        return "image_classification"
    return "text_classification" if "vocabulary" in task else "tabular_classification"


def _module(folder: Path, file: str) -> ModuleType:
    """A module of the bundle under a name of its own: another bundle has another `model.py`."""
    name = f"{file}_of_{folder}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, folder / f"{file}.py")
        assert spec is not None and spec.loader is not None  # noqa: S101 - a file has a loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # what it defines finds its own module
        spec.loader.exec_module(module)
    return sys.modules[name]


def read_table(text: str, known: Sequence[str]) -> dict[str, list[str]]:
    """The columns of a CSV. Its header is the line, of the first few, that names the most known
    columns when the best sign divides it; what stands above is a title.

    Raises:
        PredictionError: a row has more or fewer cells than the header, or the header has a column
            twice.
    """

    def first_rows(separator: str) -> list[list[str]]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        return [[cell.strip() for cell in cells] for cells in islice(reader, TITLES)]

    def known_in(place: tuple[str, int]) -> int:
        return len(set(heads[place[0]][place[1]]) & set(known))

    heads = {separator: first_rows(separator) for separator in SEPARATORS}
    places = [(sign, line) for sign, rows in heads.items() for line in range(len(rows))]
    separator, line = max(places, key=known_in, default=(SEPARATORS[0], 0))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names = [cell.strip() for cell in next(islice(reader, line, None), [])]
    while names and not names[-1]:
        names.pop()  # as where each line ends with a separator
    if twice := [name for name in known if names.count(name) > 1]:
        raise PredictionError(f"the header has column {twice[0]!r} more than once")
    rows = []
    for number, cells in enumerate(reader, line + 2):
        if len(cells) >= len(names) and not any(map(str.strip, cells[len(names) :])):
            rows.append(cells[: len(names)])
        elif any(map(str.strip, cells)):
            raise PredictionError(f"row {number} has {len(cells)} cells, the header {len(names)}")
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: list(cells) for name, cells in zip(names, columns, strict=True)}


def write_rows(rows: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    rows = list(rows)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)


def _even(columns: Mapping[Any, Iterable[Any]]) -> dict[str, list[Any]]:
    """
    Raises:
        PredictionError: a column has fewer cells than another.
    """
    given = {str(name): list(values) for name, values in columns.items()}
    count = max(map(len, given.values()), default=0)
    for name, values in given.items():
        if len(values) != count:
            raise PredictionError(f"column {name!r} has {len(values)} rows, others have {count}")
    return given


def _is_array(samples: Any) -> bool:
    return isinstance(samples, Tensor) or hasattr(samples, "__array_interface__")


def read_input(model: Predictor, paths: Sequence[str], encoding: str = "utf-8") -> Any:
    """Samples as `Predictor.predict` takes them, from files.

    Raises:
        PredictionError: a file is not of the kind that the model predicts from.
    """
    # pictures: of image classification alone
    if model.task == "image_classification" and not paths[0].endswith((".npz", ".npy")):
        return list(paths)
    # pictures.
    if len(paths) > 1:
        raise PredictionError(f"one file at a time, got {len(paths)}")
    if paths[0].endswith((".npz", ".npy")):
        return _arrays(model, paths[0])
    if not model.columns and model.task != "text_classification":
        raise PredictionError(f"{paths[0]}: an .npz with the arrays of the samples is needed")
    text = _decoded(Path(paths[0]).read_bytes(), encoding)
    if model.task == "text_classification" and not _is_headed(text, model.columns):
        return text.splitlines()
    try:
        return read_table(text, model.columns)
    except csv.Error as error:
        raise PredictionError(f"{paths[0]}: {error}") from None


def _is_headed(text: str, columns: Sequence[str]) -> bool:
    """Whether the first line names the column; else each line is a text, commas and all."""
    first = text.partition("\n")[0]
    rows = [next(csv.reader([first], delimiter=sign), []) for sign in SEPARATORS]
    return any({cell.strip() for cell in row} & set(columns) for row in rows)


def _decoded(content: bytes, encoding: str) -> str:
    """A mark at its beginning says how a file is written, whatever else is said."""
    for mark, marked in MARKS:
        if content.startswith(mark):
            return content.decode(marked)
    return content.decode(encoding).removeprefix("\ufeff")


def _arrays(model: Predictor, path: str) -> Any:
    """Of an .npz the arrays of a graph, or the array `x` of samples; or an .npy of them."""
    import numpy

    try:
        found = numpy.load(path, allow_pickle=False)
    except ValueError as error:
        raise PredictionError(f"{path}: {error}") from None
    if model.preprocessing["input"].get("kind") == "graph":
        return found
    if path.endswith(".npy"):
        return found
    if "x" not in found:
        raise PredictionError(f"{path}: there is no array 'x'; it has {', '.join(found.files)}")
    return found["x"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("input", nargs="+", help="a CSV, pictures, a file with a text a line, .npz")
    parser.add_argument("--missing", choices=("error", "fill"), default="error")
    parser.add_argument("--encoding", default="utf-8")
    arguments = parser.parse_args()
    model = load(Path(__file__).parent)
    try:
        samples = read_input(model, arguments.input, arguments.encoding)
        write_rows(model.predict(samples, missing=arguments.missing), sys.stdout)
    except (OSError, UnicodeError, PredictionError) as error:
        print(f"predict.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for line in model.told():
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
