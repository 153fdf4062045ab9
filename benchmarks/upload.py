"""Large tables: seconds of an upload, and what the process that reads the file takes.

    python benchmarks/upload.py [--sizes 100000x50 1000000x10]

The tables are made here, of numbers alone and mixed (in ten columns five of numbers and one each of
whole numbers, of a category with 300 values, of times, of prices and of yes and no). Each is
uploaded to a server of its own once, and once read by `models.sandbox.parse` in a fresh process:
`cage_cpu_seconds` and `cage_peak_bytes` (resident) are of its child, limits and all. A file that
is refused has its `refusal`.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.datasets.formats import FormatError, Options, Upload
from models.processes.folders import temporary_folder
from models.sandbox import parse
from nasmith import Client
from service.server.local_server import running_server

TASK = "tabular_classification"


def table(rows: int, columns: int, *, mixed: bool, seed: int = 0) -> pd.DataFrame:
    """With a class that half of the numbers tell of."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=rows)
    made: dict[str, Any] = {}
    for i in range(columns):
        kind = i % 10 if mixed else 0
        if kind < 5:
            made[f"number_{i}"] = (rng.normal(size=rows) + 0.3 * y * (i % 2)).round(4)
        elif kind == 5:
            made[f"count_{i}"] = rng.integers(0, 1_000_000, rows)
        elif kind == 6:
            made[f"category_{i}"] = rng.choice([f"v{j}" for j in range(300)], rows)
        elif kind == 7:
            times = pd.Timestamp("2018-01-01") + pd.to_timedelta(
                rng.integers(0, 2500 * 86_400, rows), unit="s"
            )
            made[f"time_{i}"] = times.strftime("%d.%m.%Y %H:%M")
        elif kind == 8:
            made[f"price_{i}"] = [f"{price:.2f} €" for price in rng.lognormal(3, 1, rows)]
        else:
            made[f"yes_{i}"] = rng.choice(["yes", "no", ""], rows)
    return pd.DataFrame(made).assign(label=np.where(y > 0, "up", "down"))


def in_the_cage(path: Path) -> dict[str, Any]:
    """Of this process, which has had no other child."""
    upload = Upload(path, "large", TASK, Options(target="label"))
    started, refusal = time.perf_counter(), None
    with temporary_folder("bench") as folder:
        try:
            parse(upload, folder / "dataset")
        except FormatError as error:
            refusal = str(error)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cage_seconds": time.perf_counter() - started,
        "cage_cpu_seconds": used.ru_utime + used.ru_stime,
        "cage_peak_bytes": used.ru_maxrss * 1024,
        **({"refusal": refusal} if refusal else {}),
    }


def measured(client: Client, path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--cage", str(path)], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    if "refusal" not in found:
        started = time.perf_counter()
        client.datasets.add(path, name=path.stem, task=TASK, target="label")
        found["upload_seconds"] = time.perf_counter() - started
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["100000x50", "1000000x10"])
    parser.add_argument("--cage", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.cage:
        print(json.dumps(in_the_cage(chosen.cage)))
        return
    runs = []
    with temporary_folder("bench") as home, running_server(home) as server:
        with Client(server.url) as client:
            for size in chosen.sizes:
                rows, columns = map(int, size.split("x"))
                for mixed in (False, True):
                    path = home / f"{'mixed' if mixed else 'numbers'}-{size}.csv"
                    table(rows, columns, mixed=mixed).to_csv(path, index=False)
                    found = measured(client, path)
                    shape = {"rows": rows, "columns": columns, "mixed": mixed}
                    runs.append({**shape, "file_bytes": path.stat().st_size, **found})
                    path.unlink()
    versions = {name: version(name) for name in ("torch", "pyarrow", "numpy")}
    print(
        json.dumps(
            {"python": platform.python_version(), "versions": versions, "runs": runs}, indent=2
        )
    )


if __name__ == "__main__":
    main()
