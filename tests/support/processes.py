"""Processes as they are seen from outside."""

from __future__ import annotations

import psutil


def runs(process: psutil.Process, module: str) -> bool:
    """Whether a process runs a module of ours; one that ends while it is looked at does not."""
    try:
        return module in process.cmdline()
    except psutil.Error:
        return False
