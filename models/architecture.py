"""Decisions and architectures: frozen values with one canonical JSON form.

A search space is data: a list of `Decision`s, each with a `Domain`. A point in it is an
`Architecture`. Nothing here knows torch, so that a client can read an architecture without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from models.domains import Domain, Scalar


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no blanks, no NaN, UTF-8 as it is."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def sha256_of(value: object) -> str:
    """Hex SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AllBut:
    """Every value but `excluded`."""

    excluded: tuple[Scalar, ...]

    def __contains__(self, value: object) -> bool:
        return value not in self.excluded


Allowed = tuple[Scalar, ...] | AllBut

When = tuple[tuple[str, Allowed], ...]
"""Names of decisions, each with the values that it has to hold: all of them."""


def is_met(when: When, values: Mapping[str, object]) -> bool:
    """Whether `values`, the active decisions so far, fulfil a condition."""
    for name, allowed in when:  # called for each decision of each draw, mostly without any
        if name not in values or values[name] not in allowed:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Decision:
    """One point of choice.

    `when` makes it conditional, as data: `(("nodes", (3, 4)),)` is active where the decision
    `nodes` is active and holds 3 or 4. A decision comes after those that it names. `absent` is what
    architectures without it mean, which are older than it is; None: they do not stand in its space.
    """

    name: str
    domain: Domain
    when: When = ()
    absent: Scalar | None = None

    def is_active(self, values: Mapping[str, object]) -> bool:
        """Whether `values`, the active decisions so far, switch this one on."""
        return is_met(self.when, values)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A point of a family's space: its active decisions, sorted by name.

    It holds everything that `families[family].build` needs beside the task, so fixed decisions
    (literals of the request) are in it as well.
    """

    family: str
    decisions: Mapping[str, Scalar]
    _key: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        ordered = MappingProxyType(dict(sorted(self.decisions.items())))
        object.__setattr__(self, "decisions", ordered)
        object.__setattr__(self, "_key", sha256_of(self.to_json()))

    @property
    def key(self) -> str:
        """SHA-256 of the canonical JSON. The identity of a network up to isomorphism is the key
        of `families[family].canonical(architecture)`.
        """
        return self._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self._key == other._key

    def to_json(self) -> dict[str, Any]:
        return {"family": self.family, "decisions": dict(self.decisions)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            ValueError: where the document has other fields or values than an architecture's.
        """
        unknown = sorted(set(document) - {"family", "decisions"})
        if unknown or not {"family", "decisions"} <= set(document):
            raise ValueError(
                f"an architecture has the fields family and decisions, got {sorted(document)}"
            )
        family, decisions = document["family"], document["decisions"]
        if not isinstance(family, str) or not isinstance(decisions, Mapping):
            raise ValueError("family is a string and decisions an object")
        for name, value in decisions.items():
            if not isinstance(value, bool | int | float | str):
                raise ValueError(f"decision {name!r} must be a scalar, got {value!r}")
        return cls(family, decisions)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.family, dict(self.decisions)))


def active_values(decisions: Iterable[Decision], values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The values of the active decisions, parsed by their domains; of one that is left out what it
    means by that.

    Raises:
        ValueError: a decision without a value, a value outside its domain, or a name unknown or
            inactive here.
    """
    active: dict[str, Scalar] = {}
    for decision in decisions:
        if decision.when and not decision.is_active(active):
            continue
        value = values.get(decision.name, decision.absent)
        if value is None:
            raise ValueError(f"decision {decision.name!r} has no value")
        try:
            active[decision.name] = decision.domain.parse(value)
        except ValueError as error:
            raise ValueError(f"decision {decision.name!r}: {error}") from None
    if extra := sorted(set(values) - set(active)):
        raise ValueError(f"decisions {extra} are unknown or inactive here")
    return active
