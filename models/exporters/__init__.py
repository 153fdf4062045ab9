"""What leaves the house: networks as folders of files that run without it, an exporter a file."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torch import nn

from models.checkpoint import Checkpoint
from models.datasets import Dataset
from models.ensemble import Ensemble
from models.exporters.report import BundleReport
from models.plugins import require
from models.registry import Registry

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


class BundleError(RuntimeError):
    """The bundle is damaged, does not run alone, or does not give the recorded score."""


class CannotExportError(BundleError):
    """A network, or a machine, that makes no such file; the message says why, for people."""


class Turn(IntEnum):
    """When a file is written. All files of a turn are written, then all are checked."""

    NETWORK = 0
    """What runs, and what is known of it."""
    FORMAT = 1
    """The same for other runtimes: only what is asked for, by the exporter's name."""
    CARD = 2
    """What tells people of the files above."""
    MANIFEST = 3
    SUMS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Export:
    """What a bundle is made of.

    network: with the weights of `checkpoint`, on the CPU, in evaluation mode; nobody changes it.
    missing: the files that the bundle does without, as far as it is written, and why.
    """

    checkpoint: Checkpoint | Ensemble
    network: nn.Module
    dataset: Dataset
    report: BundleReport
    missing: Mapping[str, str]


class Exporter(Protocol):
    """A file of a bundle, or a few that belong together. It has no state.

    files: their names.
    card: what they are for, as a line of the card.
    is_required: without them there is no bundle. Others may be missing: the manifest says why.
    """

    files: tuple[str, ...]
    card: str
    is_required: bool
    turn: Turn

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        """Write these files, and no others, into the bundle's folder.

        Raises:
            CannotExportError: the network, or this machine, makes no such file.
        """

    @staticmethod
    def check(bundle: Bundle) -> None:
        """Its docstring says what it checks; the manifest repeats the first paragraph.

        It runs in a fresh process that cannot import Nasmith. The function alone is brought there,
        without the rest of its file: it imports what it needs itself.

        Raises:
            Exception: a file is not what it should be; the message says how.
        """


exporters: Registry[Exporter] = Registry(
    "exporter",
    __name__,
    plugins="nasmith.exporters",
    check=lambda entry: require(entry, "files", "card", "is_required", "turn", "write", "check"),
)


def formats() -> list[str]:
    """Exporters whose files are made where they are asked for."""
    return [name for name, entry in exporters.items() if entry.turn is Turn.FORMAT]


def what_checks(exporter: Exporter) -> str:
    """What the check of an exporter looks at, as a sentence."""
    return " ".join((inspect.getdoc(exporter.check) or "").partition("\n\n")[0].split())


def write_json(path: Path, document: object) -> None:
    """As all JSON of a bundle: for people and for `diff`."""
    path.write_text(json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n")
