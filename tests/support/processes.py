"""Processes as they are seen from outside."""

from __future__ import annotations

import psutil

from service.running.driver_fork import MODULE
from service.running.worker_forks import NAME


def runs(process: psutil.Process, module: str) -> bool:
    """Whether a process runs a module of ours; one that ends while it is looked at does not."""
    try:
        return module in process.cmdline()
    except psutil.Error:
        return False


def is_driver(process: psutil.Process) -> bool:
    """Whether it is a driver of searches, by itself or as a fork."""
    try:
        return process.name() == NAME.decode() or runs(process, MODULE)
    except psutil.Error:
        return False
