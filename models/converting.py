"""Forms of a published model that nobody asked for before: made of its bundle when somebody does.

`Conversions` starts this module as a child, which has no environment of ours, reads the bundle's
own `model.py`, and checks what it makes as it is checked at publishing, on samples that it draws.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from models.processes.cage import environment
from models.processes.children import child_command
from models.processes.folders import OwnedFolder, temporary_folder

SAMPLES = 64


class NoSuchFormError(ValueError):
    """The model has no such form; says why."""


class TooSlowError(RuntimeError):
    """It is not made in time."""


class ConversionsBusyError(RuntimeError):
    """Another one is being made."""


class Conversions:
    """Makes one at a time, and keeps the files that were asked for last.

    most: files that are kept; seconds: that making one may take.
    """

    def __init__(self, most: int = 4, seconds: float = 300.0) -> None:
        self._most, self._seconds = most, seconds
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Path] = OrderedDict()
        self._home: OwnedFolder | None = None

    def open(self, key: str, unpack: Callable[[Path], None], form: str, file: str) -> IO[bytes]:
        """The file `file` of the exporter `form`, whole and checked.

        key: of the bundle's content; unpack: writes its files into a folder.

        Raises:
            NoSuchFormError, TooSlowError, ConversionsBusyError: see the classes.
        """
        if not self._lock.acquire(blocking=False):
            raise ConversionsBusyError("one model is converted at a time; try again")
        try:
            if (key, form) not in self._kept:
                self._make_room()
                self._kept[key, form] = self._made(key, unpack, form, file)
            self._kept.move_to_end((key, form))
            return self._kept[key, form].open("rb")
        finally:
            self._lock.release()

    def close(self) -> None:
        """Remove what is kept."""
        with self._lock:
            self._kept.clear()
            if self._home is not None:
                self._home.remove()
                self._home = None

    def _make_room(self) -> None:
        while len(self._kept) >= self._most:
            _, oldest = self._kept.popitem(last=False)
            oldest.unlink()  # who has opened it reads on

    def _made(self, key: str, unpack: Callable[[Path], None], form: str, file: str) -> Path:
        self._home = self._home or OwnedFolder("forms")
        with temporary_folder("convert") as folder:
            bundle = folder / "bundle"
            bundle.mkdir()
            unpack(bundle)
            if not (bundle / file).is_file():
                self._run(folder, form)
            kept = self._home.path / f"{key}-{form}"
            (bundle / file).rename(kept)
        return kept

    def _run(self, folder: Path, form: str) -> None:
        command = child_command(__name__, str(folder), form)
        try:
            ended = subprocess.run(  # noqa: S603 - our own module
                command,
                cwd=folder,
                env=environment(folder),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self._seconds,
            )
        except subprocess.TimeoutExpired:
            raise TooSlowError(f"making it takes more than {self._seconds:g} s") from None
        if ended.returncode:
            last = ended.stderr.strip().splitlines()[-1:] or [f"it ended with {ended.returncode}"]
            raise NoSuchFormError(last[0][:500])


def convert(folder: Path, form: str) -> None:
    """The child process: adds the files of `form` to `folder/bundle`.

    Raises:
        models.exporters.CannotExportError: the model has no such form.
        ValueError: what was made is not what `model.py` gives.
    """
    import numpy as np

    from models.exporters import exporters
    from models.exporters.fresh_process import opened
    from models.exporters.whole import Convertible

    exporter = exporters[form]
    if not isinstance(exporter, Convertible):
        raise TypeError(f"{form} is made when a model is published, and not later")
    samples = folder / "samples"
    samples.mkdir()
    sys.path.insert(0, "")  # the place of the bundle's modules, before ours
    np.savez(samples / "test.npz", allow_pickle=False, **drawn(folder / "bundle"))
    bundle = opened(folder / "bundle", samples)
    exporter.convert(bundle.folder, bundle.network, bundle.preprocessing)
    exporter.check(bundle)


def drawn(bundle: Path) -> Mapping[str, Any]:
    """Raw samples of the type that the model takes, and of its range where that is known; `y` is
    not asked for. The preprocessing is arithmetic: any number has its place in it.
    """
    import numpy as np

    preprocessing = json.loads((bundle / "preprocessing.json").read_text())
    raw, rng = preprocessing["input"], np.random.default_rng(0)
    shape = (SAMPLES, *raw["shape"]) if raw.get("kind") != "graph" else (0,)
    low, high = raw.get("range", (-2.0, 2.0))
    if "vocabulary" in preprocessing:
        low, high = 0, len(preprocessing["vocabulary"])
    elif np.issubdtype(raw["dtype"], np.integer):
        low, high = 0, 256
    x = rng.uniform(low, high, shape)
    return {"x": x.astype(raw["dtype"]), "y": np.zeros(len(x))}


if __name__ == "__main__":
    try:
        convert(Path(sys.argv[1]), sys.argv[2])
    except Exception as error:
        sys.exit(" ".join(str(error).split()))
