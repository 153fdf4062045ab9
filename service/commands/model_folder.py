"""The folder that a command puts a model in."""

from __future__ import annotations

from pathlib import Path

from nasmith.commands.output import UsageError


def refuse_occupied(folder: Path, option: str) -> None:
    """
    Raises:
        UsageError: the folder, which `option` names, holds something else than an older model.
    """
    from nasmith.bundle import CHECKSUMS

    if folder.exists() and (
        not folder.is_dir() or (any(folder.iterdir()) and not (folder / CHECKSUMS).exists())
    ):
        raise UsageError(f"{folder} holds something else than a model; name another {option}")
