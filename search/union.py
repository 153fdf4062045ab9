"""Several families in one space: which one is a decision like any other, on which the decisions of
each are conditional.

Families share the names of decisions, so that here those of a family stand under its name, as in
`mlp.depth`. A candidate holds the decisions of its own family, by their plain names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from models.architecture import Architecture, Decision, When
from models.domains import Choice, Scalar
from models.family import families
from search.space import RECIPE_PREFIX, SearchSpace

FAMILY = "family"
"""The decision between families."""


class UnionSpace(SearchSpace):
    """What all families that have a field of the recipe decide of it alike is one decision; what
    depends on a network's own decisions stands under the name of its family.
    """

    def __init__(self, members: Mapping[str, SearchSpace], *, is_older: bool = False) -> None:
        """`members`: by family, each once and two at least, with the same recipe."""
        shared = _shared(members)
        decisions, recipe = [Decision(FAMILY, Choice(tuple(members)))], list(shared.values())
        for name, member in members.items():
            for decision in member.decisions:
                if decision.name not in shared:
                    own = _of_family(name, decision, shared)
                    is_of_recipe = decision.name.startswith(RECIPE_PREFIX)
                    (recipe if is_of_recipe else decisions).append(own)
        super().__init__(FAMILY, decisions, _canonical, recipe, is_older=is_older)
        self._families = tuple(members)

    @property
    def families(self) -> tuple[str, ...]:
        return self._families

    def _named(self, architecture: Architecture) -> dict[str, Scalar]:
        own = architecture.decisions.items()
        return {FAMILY: architecture.family} | {
            f"{architecture.family}.{name}": value for name, value in own
        }

    def _architecture(self, values: Mapping[str, Scalar]) -> Architecture:
        family = str(values[FAMILY])
        own = {name.removeprefix(f"{family}."): value for name, value in values.items()}
        del own[FAMILY]
        return Architecture(family, own)


def _canonical(architecture: Architecture) -> Architecture:
    return families[architecture.family].canonical(architecture)


def _shared(members: Mapping[str, SearchSpace]) -> dict[str, Decision]:
    """The decisions of the recipe that are the same in every family that has them, each after those
    that it needs; conditional on the family where another has them not.
    """
    shared: dict[str, Decision] = {}
    for member in members.values():
        for decision in member.decisions:
            name = decision.name
            if not name.startswith(RECIPE_PREFIX) or name in shared:
                continue
            found = {
                family: other
                for family, space in members.items()
                for other in space.decisions
                if other.name == name
            }
            needs_shared = all(needed in shared for needed, _ in decision.when)
            if needs_shared and all(other == decision for other in found.values()):
                where: When = () if len(found) == len(members) else ((FAMILY, tuple(found)),)
                shared[name] = replace(decision, when=(*where, *decision.when))
    return shared


def _of_family(family: str, decision: Decision, shared: Mapping[str, Decision]) -> Decision:
    """The decision as it stands under the name of its family."""
    when = tuple(
        (name if name in shared else f"{family}.{name}", allowed) for name, allowed in decision.when
    )
    return replace(decision, name=f"{family}.{decision.name}", when=((FAMILY, (family,)), *when))
