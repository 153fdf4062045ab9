"""The registries that other distributions can add to, by `models.plugins`."""

from __future__ import annotations

from typing import Any

from models.datasets import datasets
from models.exporters import exporters
from models.family import families
from models.operations import operations
from models.registry import Registry
from search.fidelity import fidelities
from search.strategy import strategies


def pluggable() -> tuple[Registry[Any], ...]:
    return strategies, families, operations, datasets, exporters, fidelities


def plugin_versions() -> dict[str, str]:
    """The version of each other distribution whose entries are known here, by its name."""
    sources = {registry.source(name) for registry in pluggable() for name in registry}
    return {
        source.distribution: source.version
        for source in sorted(sources, key=lambda source: source.distribution)
        if not source.is_own
    }
