"""A name that a built-in entry has is not an installed distribution's to take, in any group."""

from __future__ import annotations

from importlib.metadata import Distribution, EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from models.families.mlp import Mlp
from models.registry import Registry
from search.plugins import pluggable
from search.spaces import TABLE, spaces


@pytest.fixture
def distribution(tmp_path: Path) -> Distribution:
    """Installed beside ours, with an entry `taken` of each group."""
    folder = tmp_path / "nasmith_thief-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: nasmith-thief\nVersion: 1.0\n")
    return Distribution.at(folder)


class Rings:
    """A dataset for a task that there is not."""

    task_name = "ring_counting"
    description = "rings"

    def load(self) -> None: ...


class Ladder(Mlp):
    tasks = frozenset({"tabular_regression", "rung_counting"})


def rediscovered(
    registry: Registry[Any],
    name: str,
    distribution: Distribution,
    monkeypatch: pytest.MonkeyPatch,
    value: str = "json:loads",
) -> Registry[Any]:
    """A registry of the same files that finds one entry of somebody else, `name`."""

    def installed(*, group: str) -> EntryPoints:
        point = EntryPoint(name, value, group)
        vars(point).update(dist=distribution)
        return EntryPoints([point])

    monkeypatch.setattr("importlib.metadata.entry_points", installed)
    found: Registry[Any] = Registry(
        registry.kind,
        registry._package,
        plugins=registry._group,
        check=registry._check,
        reserved=registry._reserved,
    )
    found._entries.update(registry._entries)
    return found


@pytest.mark.parametrize("registry", pluggable(), ids=lambda registry: registry.kind)
def test_the_name_of_a_built_in_entry_is_taken(
    registry: Registry[Any], distribution: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(name for name in registry if registry.source(name).is_own)
    known, entry = set(registry), registry[name]
    found = rediscovered(registry, name, distribution, monkeypatch)
    assert found[name] is entry and set(found) == known
    assert found.source(name).distribution == "nasmith-server"
    (broken,) = found.broken
    assert (broken.name, broken.source.distribution) == (name, "nasmith-thief")
    assert f"the name {name!r} is taken by the {registry.kind} of nasmith-server" in broken.reason


def test_no_family_is_called_table(
    distribution: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A space says `table` for that of known results, and no file of ours registers it."""
    (families,) = (registry for registry in pluggable() if registry.kind == "family")
    assert TABLE == "table" and TABLE in spaces and TABLE not in families
    found = rediscovered(families, TABLE, distribution, monkeypatch)
    assert TABLE not in found
    (broken,) = found.broken
    assert "the name 'table' is taken by the space of a table of known results" in broken.reason
    with pytest.raises(ValueError, match="family 'table': that is the space of a table"):
        families.register(TABLE)(object())


@pytest.mark.parametrize(("kind", "entry"), [("dataset", "Rings"), ("family", "Ladder")])
def test_an_entry_for_a_task_that_there_is_not_is_left_out(
    kind: str, entry: str, distribution: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    (registry,) = (registry for registry in pluggable() if registry.kind == kind)
    assert registry  # read before somebody else's is found
    found = rediscovered(registry, "theirs", distribution, monkeypatch, f"{__name__}:{entry}")
    assert "theirs" not in found
    (broken,) = found.broken
    assert "_counting" in broken.reason and "tabular_classification" in broken.reason
