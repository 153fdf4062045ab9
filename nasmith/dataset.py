"""The datasets of one server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nasmith.connection import Connection, pages, path_part
from nasmith.errors import DatasetError
from nasmith.folder import zipped
from nasmith.states import DatasetState

_READING_SECONDS = 900.0
_FIRST_LOOK, _LONGEST_LOOK = 0.5, 5.0


class Datasets:
    """Your own data, and the datasets that everybody can name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self, file: str | Path, *, name: str | None = None, task: str, **options: Any
    ) -> dict[str, Any]:
        """Upload a file, or a folder as a zip of it: `client.datasets.add("iris.csv",
        task="tabular_classification", target="species")`.

        Args:
            file: CSV, Parquet, `.npz`, a zip, a folder or a text, as the task needs it.
            name: that searches will use; default: the file's name without its ending.
            task: what the data are for.
            options: `target`, `text`, `time`, `window`, `horizon`, `unlabelled`, `split`.

        Returns when the file has been read.

        Raises:
            InvalidRequestError: the file, with row and column, or an option is wrong.
            DatasetError: a large file, likewise.
            ConflictError: there is another dataset of this name.
            FileNotFoundError: there is no such file, or none in the folder.
        """
        path = Path(file)
        is_folder = path.is_dir()
        path = path.resolve() if is_folder else path  # `.` has a name
        stem = path.name if is_folder else path.stem
        given = {key: value for key, value in options.items() if value is not None}
        with zipped(path) if is_folder else path.open("rb") as opened:
            response = self._connection.request(
                "POST",
                "/v1/datasets",
                data={"name": name or stem, "task": task, "options": json.dumps(given)},
                files={"file": (f"{stem}.zip" if is_folder else path.name, opened)},
                read_timeout=_READING_SECONDS,
            )
        return self._read(dict(response.json()))

    def _read(self, dataset: dict[str, Any]) -> dict[str, Any]:
        pause = _FIRST_LOOK
        while dataset.get("state") == DatasetState.READING:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)
            dataset = self.get(dataset["name"])
        if dataset.get("state") == DatasetState.FAILED:
            raise DatasetError(f"{dataset['name']} could not be read: {dataset['reason']}")
        return dataset

    def get(self, name: str) -> dict[str, Any]:
        """
        Raises:
            NotFoundError: no such dataset.
        """
        return dict(self._connection.request("GET", f"/v1/datasets/{path_part(name)}").json())

    def list(self, *, page_size: int = 100) -> Iterator[dict[str, Any]]:
        """All by name, fetched a page at a time."""
        yield from pages(self._connection, "/v1/datasets", {"page_size": page_size})

    def delete(self, name: str) -> None:
        """
        Raises:
            NotFoundError: no such dataset.
            ConflictError: a search that has not ended needs it.
        """
        self._connection.request("DELETE", f"/v1/datasets/{path_part(name)}", repeat=False)
