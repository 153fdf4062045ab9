"""A churn table as somebody exports it, from the raw file to predictions on raw rows.

    python benchmarks/messy.py [--rows 3000] [--trials 20] [--seeds 3]

The table is made here: semicolons, decimal commas, 5 % of the cells missing, dates, ids, a category
of 800 values, a text column, 8 % who leave. It is uploaded as it is with one call, searched with
`mlp`, and the downloaded bundle predicts the raw rows of the test split by `predict.py`. Beside it
stands scikit-learn's HistGradientBoosting with a pipeline made by hand, trained on the same train
rows and scored on the same test rows. `auc_difference` is ours less its; `lines` are those that a
person writes for each.
"""

from __future__ import annotations

import argparse
import inspect
import json
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder, TargetEncoder

from models.datasets.splits import stratified
from models.processes.folders import temporary_folder
from nasmith import Client
from service.server.local_server import running_server

COMPLAINTS = ("too expensive lately", "support never answers", "moved to another town")
PRAISE = ("works well for us", "friendly support", "fair price", "happy with it")


def churn(rows: int, seed: int) -> pd.DataFrame:
    """Who leaves follows from age, tenure, plan, place, how they write, and chance."""
    rng = np.random.default_rng(seed)
    age = rng.normal(45, 14, rows).clip(18, 90)
    days = rng.integers(0, 2500, rows)
    since = pd.Timestamp("2018-01-01") + pd.to_timedelta(days, unit="D")
    fee = rng.lognormal(3.2, 0.5, rows)
    plan = rng.choice(["basic", "plus", "pro"], rows, p=[0.5, 0.3, 0.2])
    place = rng.zipf(1.3, rows) % 800
    pull = rng.normal(0, 0.8, 800)[place]
    unhappy = rng.random(rows) < 0.3
    words = [
        f"{rng.choice(COMPLAINTS if bad else PRAISE)}, {rng.choice(PRAISE)}" for bad in unhappy
    ]
    logit = (
        0.8 * np.log(fee / 24) - 0.02 * (age - 45) + days / 1800 + pull + 1.6 * unhappy
    ) - 0.7 * (plan == "pro")
    logit += rng.logistic(0, 0.6, rows)
    leaves = logit > np.quantile(logit, 0.92)
    frame = pd.DataFrame(
        {
            "customer_id": [f"C-{i:06d}-{rng.integers(16**4):04x}" for i in range(rows)],
            "age": [f"{v:.1f}".replace(".", ",") for v in age],
            "since": since.strftime("%d.%m.%Y"),
            "fee": [f"{v:.2f} €".replace(".", ",") for v in fee],
            "plan": plan,
            "place": [f"place {p}" for p in place],
            "newsletter": rng.choice(["ja", "nein"], rows),
            "note": words,
        }
    )
    holes = rng.random(frame.shape) < 0.05
    holes[:, 0] = False
    frame = frame.mask(holes, "")
    frame["left"] = np.where(leaves, "yes", "no")
    return frame


def by_hand(train: pd.DataFrame, test: pd.DataFrame) -> float:
    """What a person writes who knows the file."""

    def cleaned(frame: pd.DataFrame) -> pd.DataFrame:
        table = frame.replace("", np.nan)
        for name in ("age", "fee"):
            plain = table[name].str.replace(" €", "").str.replace(",", ".")
            table[name] = plain.astype(float)
        since = pd.to_datetime(table.since, format="%d.%m.%Y")
        table["days"] = (since - pd.Timestamp("2018-01-01")).dt.days
        table["month"] = since.dt.month
        table["newsletter"] = table.newsletter.map({"ja": 1.0, "nein": 0.0})
        for phrase in ("expensive", "never", "moved"):
            table[phrase] = table.note.fillna("").str.contains(phrase).astype(float)
        return table

    numbers = ["age", "fee", "days", "month", "newsletter", "expensive", "never", "moved"]
    unknown = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer(
        [("n", "passthrough", numbers), ("p", unknown, ["plan"]), ("t", TargetEncoder(), ["place"])]
    )
    model = Pipeline([("c", columns), ("m", HistGradientBoostingClassifier(random_state=0))])
    model.fit(cleaned(train), train.left == "yes")
    return float(roc_auc_score(test.left == "yes", model.predict_proba(cleaned(test))[:, 1]))


OURS = """\
client.datasets.add("churn.csv", name="churn", task="tabular_classification", target="left")
search = client.searches.create(dataset="churn", space={"family": "mlp"}, strategy={"name": "tpe"})
search.wait()
search.download("model")
# python model/predict.py new.csv > predictions.csv
"""


def ours(client: Client, frame: pd.DataFrame, test: pd.DataFrame, trials: int, seed: int) -> Any:
    with temporary_folder("bench") as folder:
        content = frame.to_csv(index=False, sep=";")
        (folder / "churn.csv").write_text(content)
        (folder / "new.csv").write_text(test.drop(columns="left").to_csv(index=False, sep=";"))
        started = time.perf_counter()
        name = f"churn-{seed}"
        dataset = client.datasets.add(
            folder / "churn.csv", name=name, task="tabular_classification", target="left"
        )
        uploaded = time.perf_counter() - started
        search = client.searches.create(
            dataset=name,
            space={"family": "mlp"},
            training={"learning_rate": {"low": 0.0003, "high": 0.01, "log": True}},
            strategy={"name": "tpe"},
            objectives=[{"metric": "val_auc"}],
            budget={"trials": trials},
            final={"seeds": 1, "epochs": 40},
            seed=seed,
        )
        search.wait()
        searched = time.perf_counter() - started - uploaded
        model = Path(search.download(folder / "model"))
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-I", str(model / "predict.py"), str(folder / "new.csv")],
            capture_output=True,
            text=True,
            check=True,
        )
        predicted = time.perf_counter() - started
        (folder / "predictions.csv").write_text(done.stdout)
        shares = pd.read_csv(folder / "predictions.csv").probability_yes
    return {
        "auc": float(roc_auc_score(test.left == "yes", shares)),
        "upload_seconds": uploaded,
        "search_seconds": searched,
        "predict_seconds": predicted,
        "warnings": sorted({warning["code"] for warning in dataset["warnings"]}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    runs = []
    with temporary_folder("bench") as home, running_server(home) as server:
        with Client(server.url) as client:
            for seed in range(chosen.seeds):
                frame = churn(chosen.rows, seed)
                y = (frame.left == "yes").to_numpy().astype(np.int64)
                train, _, test = stratified(y, (0.2, 0.2), 0)  # as the upload is divided
                hand = by_hand(frame.iloc[train], frame.iloc[test])
                found = ours(client, frame, frame.iloc[test], chosen.trials, seed)
                runs.append({"by_hand_auc": hand, **found, "auc_difference": found["auc"] - hand})
    differences = [run["auc_difference"] for run in runs]
    spread = statistics.stdev(differences) / len(runs) ** 0.5 if len(runs) > 1 else None
    print(
        json.dumps(
            {
                "python": platform.python_version(),
                "versions": {name: version(name) for name in ("torch", "scikit-learn")},
                "rows": chosen.rows,
                "auc_difference": {"mean": statistics.fmean(differences), "standard_error": spread},
                "lines": {
                    "ours": len(OURS.strip().splitlines()),
                    "by_hand": len(inspect.getsource(by_hand).splitlines()) - 2,
                },
                "runs": runs,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
