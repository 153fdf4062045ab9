"""Where what lies in the store."""

from __future__ import annotations

CHECKPOINTS, ARTIFACTS, DATASETS, HOLDS = "checkpoints", "artifacts", "datasets", "holds"


def checkpoints_url(store_url: str, search_id: str) -> str:
    """The folder in which final trials leave their weights until they are published."""
    return f"{store_url.rstrip('/')}/{CHECKPOINTS}/{search_id}"
