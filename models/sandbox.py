"""Reading a stranger's file in a process of its own, with limits that the kernel holds.

`parse` has a fork of this module write the dataset as a file and say what it is. The fork
has no environment of ours, little memory, little time and no network, sees no files but Python's,
may write one file of limited size, and ends with its parent. Where the platform has no such limits
(macOS ignores that of memory, `nasmith doctor` tells the walls), the checks of the formats remain.
"""

from __future__ import annotations

import contextlib
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.datasets.formats import FormatError, Options, Upload, format_of, formats
from models.datasets.stored import Content, save
from models.datasets.tables import KnownResults
from models.held_text import flaws, mended
from models.processes.cage import restrict
from models.processes.conversation import EndedError
from models.processes.folders import temporary_folder
from models.processes.forks import Forks
from models.processes.walls import enclose
from models.training.baseline import baseline

READER = "models.sandbox"

_TABLE = b"when,amount,kind,label\n" + b"".join(
    b"%d.5.2024,%d.5,%s,%s\n" % (1 + n % 28, n * n % 97, b"abc"[n % 3 :][:1], b"xy"[n % 2 :][:1])
    for n in range(60)
)

_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_bytes`: beyond what the process has with its libraries, before it sees the file."""

    memory_bytes: int = 6 * 2**30
    cpu_seconds: int = 300
    seconds: float = 600.0
    output_bytes: int = 8 * 2**30


def parse(
    upload: Upload, target: Path, limits: Limits | None = None, readers: Forks | None = None
) -> dict[str, Any]:
    """Read `upload` and write it to `target`, as `models.datasets.stored` has it. `readers`:
    `Forks` of this module, which whoever holds them may end; without them, they begin and end here.

    Returns:
        The facts of the dataset, as JSON: `describe` and the name of the format.

    Raises:
        FormatError: the file, or an option, makes no dataset; or reading it takes too much.
    """
    limits = limits or Limits()
    request = {
        "path": str(upload.path.absolute()),
        "name": upload.name,
        "task": upload.task,
        "options": upload.options.model_dump(mode="json", exclude_unset=True),
        "target": str(target.absolute()),
        "limits": [limits.memory_bytes, limits.cpu_seconds, limits.output_bytes],
    }
    with (
        contextlib.nullcontext(readers) if readers else Forks(READER) as forks,
        temporary_folder("parse") as folder,
        forks.one(folder) as child,
    ):
        try:
            answer = child.ask(request, limits.seconds)
        except EndedError as error:
            raise FormatError(_unreadable(error, limits)) from None
    return facts_in(answer)


def facts_in(answer: dict[str, Any]) -> dict[str, Any]:
    """What the child says: the door that every text of a file goes through.

    Raises:
        FormatError: the child's, or a text that no database holds.
    """
    if "error" in answer:
        raise FormatError(str(mended(answer["error"])), answer["option"])
    for path, why in flaws(answer):
        place = " ".join(str(part) for part in path)
        raise FormatError(f"a text of the file {why} (in {place}), which no database takes")
    return answer


def describe(content: Content) -> dict[str, Any]:
    """What a request is held against, and what people ask of a dataset, as JSON."""
    facts: dict[str, Any] = {"fingerprint": content.fingerprint, "samples": content.sizes}
    if isinstance(content, KnownResults):
        return {**facts, "task": None, "dimensions": content.dimensions}
    classes = content.preprocessing.get("classes", content.preprocessing.get("labels"))
    return {
        **facts,
        "task": content.task.to_json(),
        "classes": None if classes is None else classes[:_LISTED],
        "columns": [column.to_json() for column in content.columns],
        "warnings": [remark.to_json() for remark in content.remarks],
        "baseline": baseline(content, "val"),
        "folds": [len(fold.train) for fold in content.folds],
    }


def _unreadable(ended: EndedError, limits: Limits) -> str:
    if ended.is_late:
        return f"reading it takes more than {limits.seconds:g} s"
    if ended.code == -signal.SIGXCPU:
        return f"reading it takes more than {limits.cpu_seconds} s of a processor"
    if ended.code == -signal.SIGXFSZ:
        return f"it becomes a file of more than {limits.output_bytes:,} bytes"
    memory = ("MemoryError", "bad_alloc", "can't allocate memory", "malloc", "realloc")
    if ended.code == -signal.SIGKILL or any(word in ended.errors for word in memory):
        return f"reading it takes more than {limits.memory_bytes:,} bytes of memory"
    return f"it cannot be read: {ended.last_words()[:300]}"


def prepare() -> None:
    """In the process that readers are forks of: have all imported that a table of ours needs."""
    table = Path("table.csv")
    table.write_bytes(_TABLE)
    upload = Upload(table, "ours", "tabular_classification", Options(target="label"))
    describe(formats[format_of(upload)].read(upload))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The fork."""
    upload = Upload(
        Path(request["path"]),
        request["name"],
        request["task"],
        Options.model_validate(request["options"]),
    )
    restrict(*request["limits"])
    # Python ignores it, and each library that writes has another word for the error it gets then.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    enclose([upload.path.parent], [Path(request["target"]).parent, Path.cwd()])
    try:
        name = format_of(upload)
        content = formats[name].read(upload)
        save(content, Path(request["target"]))
    except FormatError as error:
        return {"error": str(error), "option": error.option}
    except MemoryError:
        traceback.print_exc()
        raise SystemExit(1) from None
    except ValueError as error:
        traceback.print_exc()
        return {"error": " ".join(str(error).split())[:1000], "option": None}
    return {"format": name, **describe(content)}
