"""The search space: a family's decisions narrowed by the request, plus the recipe's.

The only thing that a strategy sees. It speaks `Candidate`; inside, a point is an assignment of
values to the active decisions, those of the recipe prefixed with `training.`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from random import Random
from typing import Self

from models.architecture import Architecture, Decision, When, active_values
from models.domains import Scalar, as_domain
from models.family import Family, FamilySettings, RecipeWhen, families
from models.recipe import Recipe, conditions, refused_fields
from models.settings import Settings
from models.task import Task
from models.training.metrics import scores
from search.counting import can_hold, count_assignments
from search.trial import Candidate

RECIPE_PREFIX = "training."
REMEMBERED = 1024
"""Candidates whose values are kept."""


class SearchSpace:
    def __init__(
        self,
        family_name: str,
        decisions: Sequence[Decision],
        canonical: Callable[[Architecture], Architecture],
        recipe: Sequence[Decision] = (),
        *,
        is_older: bool = False,
    ) -> None:
        """`decisions` are those of the architecture, each after those that it depends on;
        `canonical` gives equal architectures one representative. `recipe`: what is decided of the
        training, as `recipe_decisions` gives it; what is not, has its recorded value. There is none
        where nothing is trained, as in a table of known results. `is_older`: of a search of
        format 1.
        """
        self._family_name, self._canonical, self._is_older = family_name, canonical, is_older
        self._recipe = tuple(recipe)
        self._recipe_fields = {decision.name: _field(decision.name) for decision in recipe}
        self.decisions: tuple[Decision, ...] = (*decisions, *recipe)
        self._values = lru_cache(REMEMBERED)(self._parsed)  # parents are mutated again and again
        self._recipe_of = lru_cache(REMEMBERED)(_recipe_of)  # many networks share one
        known: set[str] = set()
        for decision in self.decisions:
            if decision.name in known or not known.issuperset(name for name, _ in decision.when):
                raise ValueError(f"{decision.name!r} is decided twice, or before its conditions")
            known.add(decision.name)

    @classmethod
    def of_family(
        cls,
        name: str,
        family: Family,
        settings: FamilySettings,
        training: Settings,
        task: Task,
        *,
        is_older: bool = False,
    ) -> Self:
        """The space of a request.

        Raises:
            models.family.InfeasibleError: no network of these settings fits the task.
        """
        when = {} if is_older else recipe_when(family, task)
        decisions = family.decisions(settings, task)
        recipe = recipe_decisions(training, when, decisions)
        return cls(name, decisions, family.canonical, recipe, is_older=is_older)

    @classmethod
    def of_architectures(cls, name: str, settings: FamilySettings, task: Task) -> Self:
        """The architectures of a request, by the default recipe.

        Raises:
            models.family.InfeasibleError: no network of these settings fits the task.
        """
        family = families[name]
        return cls(name, family.decisions(settings, task), family.canonical)

    @cached_property
    def size(self) -> int | float:
        """Number of distinct assignments, infinite where a range is continuous.

        Isomorphic networks count each.
        """
        return count_assignments(self.decisions)

    @property
    def epochs(self) -> list[int]:
        """How many a trial may have, where there is something to train."""
        name = f"{RECIPE_PREFIX}epochs"
        domain = next(decision.domain for decision in self.decisions if decision.name == name)
        return [int(epochs) for epochs in domain.values()]

    @property
    def searches_recipe(self) -> bool:
        """Whether the training recipe is searched as well."""
        return any(decision.domain.size > 1 for decision in self._recipe)

    def sample(self, rng: Random) -> Candidate:
        """Each active decision uniformly from its domain."""
        return self._complete({}, rng)

    def mutate(self, candidate: Candidate, rng: Random) -> Candidate:
        """One active decision, chosen uniformly among those with a choice, takes another value;
        decisions that this switches on are sampled.
        """
        values = self.values(candidate)
        free = [d for d in self.decisions if d.name in values and d.domain.size > 1]
        if not free:
            return candidate
        chosen = rng.choice(free)
        values[chosen.name] = chosen.domain.mutate(values[chosen.name], rng)
        return self._complete(values, rng)

    def crossover(self, first: Candidate, second: Candidate, rng: Random) -> Candidate:
        """Uniform crossover: each decision from either parent, sampled where neither has it."""
        one, two = self.values(first), self.values(second)
        values: dict[str, Scalar] = {}
        for decision in self.decisions:
            options = [parent[decision.name] for parent in (one, two) if decision.name in parent]
            if options and decision.domain.size > 1:
                values[decision.name] = rng.choice(options)
        return self._complete(values, rng)

    def neighbours(self, candidate: Candidate) -> Iterator[Candidate]:
        """Every candidate that differs in one decision, in the order of the decisions. Decisions
        that this switches on take their first option.
        """
        values = self.values(candidate)
        for decision in self.decisions:
            if decision.name in values:
                for value in decision.domain.neighbours(values[decision.name]):
                    yield self._complete({**values, decision.name: value}, None)

    def encode(self, candidate: Candidate) -> tuple[float, ...]:
        """One number a range, one-hot a choice; zeros for an inactive decision.

        The length is the same for every candidate of the space.
        """
        values = self.values(candidate)
        code: list[float] = []
        for decision in self.decisions:
            if decision.name in values:
                code.extend(decision.domain.encode(values[decision.name]))
            else:
                width = len(decision.domain.encode(decision.domain.first))
                code.extend([0.0] * width)
        return tuple(code)

    def values(self, candidate: Candidate) -> dict[str, Scalar]:
        """The active decisions of a candidate.

        Raises:
            ValueError: the candidate is not a point of this space.
        """
        return dict(self._values(candidate))

    def candidate(self, values: Mapping[str, Scalar]) -> Candidate:
        """The candidate of an assignment of all active decisions.

        Raises:
            ValueError: a decision is missing, unknown, inactive or outside its domain.
        """
        return self._assembled(active_values(self.decisions, values))

    def completed(self, architecture: Architecture, rng: Random) -> Candidate:
        """The candidate of an architecture; a recipe that is searched is sampled.

        Raises:
            ValueError: the architecture is not a point of this space.
        """
        candidate = self._complete(self._named(architecture), rng)
        self.values(candidate)
        return candidate

    def nearest(self, architecture: Architecture, recipe: Mapping[str, Scalar]) -> Candidate:
        """The candidate of the values that are nearest to those of an architecture of one of the
        families here and to the fields of a recipe; whatever they lack is what they mean by that,
        or in the middle of its domain.
        """
        wanted, values = self._named(architecture), dict[str, Scalar]()
        for decision in self.decisions:
            if decision.is_active(values):
                domain, name = decision.domain, decision.name
                value = wanted.get(name, decision.absent)
                values[name] = domain.middle if value is None else domain.nearest(value)
                if self._recipe_fields.get(name) in recipe:
                    values[name] = domain.nearest(recipe[self._recipe_fields[name]])
        return self._assembled(values)

    def known(self, architecture: Architecture) -> Candidate:
        """The candidate of a whole architecture, by the middle of the recipe.

        Raises:
            ValueError: the architecture is not a point of this space.
        """
        if architecture.family not in self.families:
            raise ValueError(
                f"the architecture is of {architecture.family}, the space is "
                f"{', '.join(self.families)}"
            )
        values = self._named(architecture)
        for decision in self._recipe:
            if decision.is_active(values):
                values[decision.name] = decision.domain.middle
        return self.candidate(values)

    def keys(self, candidate: Candidate) -> tuple[str, str]:
        """The identity of a candidate: (architecture key up to isomorphism, recipe key). It may
        be of another family, as a preset is that a search is compared with.
        """
        architecture = candidate.architecture
        canonical = self._canonical
        if architecture.family != self._family_name:
            canonical = families[architecture.family].canonical
        recipe = candidate.recipe
        return canonical(architecture).key, recipe.older_key if self._is_older else recipe.key

    @property
    def families(self) -> tuple[str, ...]:
        """Of its architectures."""
        return (self._family_name,)

    def _parsed(self, candidate: Candidate) -> Mapping[str, Scalar]:
        """What the recipe says in vain is left out."""
        values = self._named(candidate.architecture)
        for decision in self._recipe:
            if decision.is_active(values):
                field = self._recipe_fields[decision.name]
                values[decision.name] = getattr(candidate.recipe, field)
        return active_values(self.decisions, values)

    def _named(self, architecture: Architecture) -> dict[str, Scalar]:
        """The decisions of an architecture, by their names in this space."""
        return dict(architecture.decisions)

    def _architecture(self, values: Mapping[str, Scalar]) -> Architecture:
        """The inverse of `_named`."""
        return Architecture(self._family_name, values)

    def _complete(self, wanted: Mapping[str, Scalar], rng: Random | None) -> Candidate:
        """The candidate with the wanted values where they are active; the rest is sampled, or
        takes its first option without an rng. Where there is no choice nothing is drawn, so that a
        new field of the recipe does not change what a seed proposes.
        """
        values: dict[str, Scalar] = {}
        for decision in self.decisions:
            if not decision.when or decision.is_active(values):
                if decision.name in wanted:
                    values[decision.name] = wanted[decision.name]
                else:
                    domain = decision.domain
                    values[decision.name] = (
                        domain.sample(rng) if rng and domain.size > 1 else domain.first
                    )
        return self._assembled(values)

    def _assembled(self, active: Mapping[str, Scalar]) -> Candidate:
        """The candidate of valid values of all active decisions."""
        recipe: list[tuple[str, Scalar]] = []
        architecture: dict[str, Scalar] = {}
        for name, value in active.items():
            if name in self._recipe_fields:
                recipe.append((self._recipe_fields[name], value))
            else:
                architecture[name] = value
        return Candidate(self._architecture(architecture), self._recipe_of(tuple(recipe)))


def _field(name: str) -> str:
    """Of the recipe, that a decision is about."""
    return name.rpartition(RECIPE_PREFIX)[2]


def _recipe_of(decided: tuple[tuple[str, Scalar], ...]) -> Recipe:
    return Recipe.from_json(dict(decided))


def recipe_when(family: Family, task: Task) -> RecipeWhen:
    """When each field of the recipe counts that does not always, for networks of a family."""
    others = refused_fields(task)
    when: dict[str, When | None] = {name: None for name in scores[task.name].ignores | others}
    for name, needed in conditions().items():
        when[name] = tuple((RECIPE_PREFIX + field, allowed) for field, allowed in needed)
    return {**when, **family.recipe_when}


def recipe_decisions(
    training: Settings, when: RecipeWhen, decisions: Sequence[Decision]
) -> Sequence[Decision]:
    """What is decided of the training, after the `decisions` of the architecture. What can never
    count is left out. What needs a field follows it at once, so that a new field with one value
    leaves the order of a grid as it was (`search.counting`).
    """
    domains = {decision.name: decision.domain for decision in decisions}
    recipe = []
    for field in _in_order(when):
        needed, name = when.get(field, ()), RECIPE_PREFIX + field
        if needed is None or not all(
            n in domains and can_hold(domains[n], allowed) for n, allowed in needed
        ):
            continue
        domains[name] = as_domain(getattr(training, field))
        recipe.append(Decision(name, domains[name], needed))
    return recipe


def _in_order(when: RecipeWhen) -> Iterator[str]:
    """The fields of the recipe, each followed by those that need it."""
    needs: dict[str, list[str]] = {}
    for field in Recipe.model_fields:
        for name, _ in when.get(field) or ():
            needs.setdefault(name.removeprefix(RECIPE_PREFIX), []).append(field)
    first = [field for field in Recipe.model_fields if not _names_a_field(when.get(field))]
    while first:
        yield (field := first.pop(0))
        first = needs.get(field, []) + first


def _names_a_field(when: When | None) -> bool:
    return any(name.startswith(RECIPE_PREFIX) for name, _ in when or ())
