import math
from collections import Counter
from dataclasses import replace
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from models.architecture import Architecture, Decision
from models.domains import Choice, Domain, Range, Scalar
from models.family import FamilySettings, families
from models.recipe import Recipe, TrainingSettings
from models.task import Task
from search.counting import count_assignments
from search.space import SearchSpace
from search.strategies.grid import Grid
from search.trial import Candidate
from tests.search.support.spaces import TASK, Listed, letters, space_of
from tests.support.instructions import instructions

FALSE_ALARM = 1e-6  # of each statistical test below
seeds = st.integers(0, 2**32)


@st.composite
def conditional_decisions(draw: st.DrawFn, continuous: bool = False) -> list[Decision]:
    """Up to six decisions, each on conditions over earlier ones."""
    decisions: list[Decision] = []
    for index in range(draw(st.integers(1, 6))):
        kinds: list[st.SearchStrategy[Domain]] = [
            st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True).map(
                lambda options: Choice(tuple(options))
            ),
            st.builds(
                lambda low, size: Range(low, low + size), st.integers(0, 3), st.integers(0, 3)
            ),
        ]
        if continuous:
            kinds.append(st.just(Range(1e-3, 1e-1, log=True)))
        domain = draw(st.one_of(kinds))
        when: list[tuple[str, tuple[Scalar, ...]]] = []
        discrete = [d for d in decisions if not math.isinf(d.domain.size)]
        for parent in draw(st.lists(st.sampled_from(discrete), max_size=2)) if discrete else []:
            allowed = draw(st.lists(st.sampled_from(parent.domain.values()), max_size=3))
            when.append((parent.name, tuple(allowed)))
        decisions.append(Decision(f"d{index}", domain, tuple(when)))
    return decisions


def enumerated(decisions: list[Decision]) -> set[tuple[tuple[str, Scalar], ...]]:
    """Every assignment, by listing the product of all values and keeping what is active."""
    points = set()
    for values in product(*(decision.domain.values() for decision in decisions)):
        active: dict[str, Scalar] = {}
        for decision, value in zip(decisions, values, strict=True):
            if decision.is_active(active):
                active[decision.name] = value
        points.add(tuple(active.items()))
    return points


def is_inside(space: SearchSpace, candidate: Candidate) -> bool:
    return space.candidate(space.values(candidate)) == candidate


@given(conditional_decisions())
def test_the_size_is_the_number_of_points(decisions: list[Decision]) -> None:
    assert count_assignments(decisions) == len(enumerated(decisions))


def test_large_spaces_are_counted_at_once() -> None:
    depth = Decision("depth", Range(0, 10**9))
    layers = [
        Decision(f"layer_{i}", Choice(tuple("abcdefghij")), (("depth", tuple(range(i, 100))),))
        for i in range(100)
    ]
    # depth d < 100 switches on d + 1 layers of 10 options; any other depth none
    size = sum(10 ** (d + 1) for d in range(100)) + (10**9 + 1 - 100)
    assert count_assignments([depth, *layers]) == size
    rate = Decision("rate", Range(0.0, 1.0))
    assert count_assignments([depth, *layers, rate]) == math.inf
    assert instructions(lambda: count_assignments([depth, *layers[:20]])) < 10**7


def test_a_range_that_is_never_active_makes_no_space_infinite() -> None:
    never = Decision("rate", Range(0.0, 1.0), (("kind", ("c",)),))
    assert count_assignments([Decision("kind", Choice(("a", "b"))), never]) == 2
    sometimes = Decision("rate", Range(0.0, 1.0), (("kind", ("b",)),))
    assert count_assignments([Decision("kind", Choice(("a", "b"))), sometimes]) == math.inf


@given(conditional_decisions(continuous=True), seeds)
def test_every_way_to_a_candidate_stays_inside(decisions: list[Decision], seed: int) -> None:
    rng = Random(seed)
    space = space_of(*decisions, optimizer={"choice": ["sgd", "adam"]})
    first, second = space.sample(rng), space.sample(rng)
    mutant, child = space.mutate(first, rng), space.crossover(first, second, rng)
    neighbours = list(space.neighbours(first))
    lengths = {len(space.encode(c)) for c in (first, second, mutant, child, *neighbours)}
    assert all(is_inside(space, c) for c in (first, second, mutant, child, *neighbours))
    assert len(lengths) == 1
    assert mutant != first  # the optimizer can always change
    assert first not in neighbours and len(set(neighbours)) == len(neighbours)
    assert Candidate.from_json(first.to_json()) == first


@given(conditional_decisions(), seeds)
def test_a_mutation_changes_one_decision_and_what_hangs_on_it(
    decisions: list[Decision], seed: int
) -> None:
    rng = Random(seed)
    space = space_of(*decisions)
    parent = space.sample(rng)
    before, after = space.values(parent), space.values(space.mutate(parent, rng))
    changed = [name for name in before if name in after and before[name] != after[name]]
    assert len(changed) <= 1
    switched = set(before) ^ set(after)
    conditions = {d.name: {name for name, _ in d.when} for d in decisions}
    assert all(conditions[name] & {*changed, *switched} for name in switched)


CONDITIONAL: dict[str, Any] = {
    "optimizer": {"choice": ["sgd", "momentum", "adam"]},
    "momentum": {"choice": [0.5, 0.8, 0.9]},
    "schedule": {"choice": ["cosine", "warmup_cosine"]},
    "warmup_epochs": {"low": 1, "high": 4},
    "l1": {"choice": [0.0, 1e-4, 1e-3]},
    "l1_step": {"choice": ["penalty", "proximal"]},
    "pretraining_epochs": {"choice": [5, 10]},
}


def test_what_does_not_count_is_not_decided() -> None:
    """sgd and adam 1 each and momentum 3; cosine 1 and a warm-up 4; no l1 1 and 2 each of the
    others. There is no pretraining.
    """
    space = space_of(**CONDITIONAL)
    assert space.size == (2 + 3) * (1 + 4) * (1 + 2 * 2)
    assert "training.pretraining_epochs" not in {d.name for d in space.decisions}
    keys, drawn = set(), Grid(space, Grid.Settings(), seed=0)
    for number in range(125):
        candidate = drawn.ask(number, ())
        assert isinstance(candidate, Candidate)
        keys.add(space.keys(candidate))
    assert len(keys) == 125
    assert space_of(l1={"low": 0.0, "high": 0.1}, l1_step=CONDITIONAL["l1_step"]).size == math.inf
    fixed = {**CONDITIONAL, "optimizer": "adam", "schedule": "cosine", "l1": 0.0}
    assert space_of(**fixed).size == 1 and not space_of(**fixed).searches_recipe


def test_a_field_with_one_value_leaves_a_grid_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the optimizer now stands in a group with a momentum."""
    searched = {"optimizer": CONDITIONAL["optimizer"], "epochs": {"choice": [1, 2]}}
    searched |= {"learning_rate": {"choice": [0.01, 0.1]}, "l1": CONDITIONAL["l1"]}

    def asked() -> list[object]:
        space = space_of(**searched)
        grid = Grid(space, Grid.Settings(), seed=0)
        assert space.size == 36
        recipes = [grid.ask(number, ()).recipe.model_dump() for number in range(36)]
        return [[recipe[name] for name in searched] for recipe in recipes]

    with_momentum = asked()
    monkeypatch.setattr("search.space.conditions", dict)
    assert asked() == with_momentum


def test_a_search_of_format_1_decides_all_that_it_says() -> None:
    recipe = TrainingSettings.model_validate(CONDITIONAL)
    older = SearchSpace.of_family(
        "listed", Listed(()), FamilySettings(), recipe, TASK, is_older=True
    )
    assert older.size == 3 * 3 * 2 * 4 * 3 * 2 * 2
    one, two = (
        Candidate(Architecture("listed", {}), Recipe(optimizer="adam", momentum=momentum))
        for momentum in (0.5, 0.9)
    )
    assert older.keys(one) != older.keys(two)
    assert space_of(**CONDITIONAL).keys(one) == space_of(**CONDITIONAL).keys(two)


@given(seeds)
def test_every_recipe_of_a_space_is_canonical(seed: int) -> None:
    space, rng = space_of(**CONDITIONAL), Random(seed)
    first, second = space.sample(rng), space.sample(rng)
    made = [first, second, space.mutate(first, rng), space.crossover(first, second, rng)]
    for candidate in (*made, *space.neighbours(first)):
        assert candidate.recipe == candidate.recipe.canonical()
        assert is_inside(space, candidate)
    said = first.recipe.model_copy(update={"pretraining_epochs": 5})
    assert space.candidate(space.values(replace(first, recipe=said))) == first


def test_a_recipe_decides_what_its_networks_and_its_task_have_a_use_for() -> None:
    training = TrainingSettings.model_validate(
        {"batch_norm": {"choice": [True, False]}, "label_smoothing": {"choice": [0.0, 0.1]}}
    )
    sizes = {}
    for name, settings, task in (
        ("mlp", {"depth": 1, "norm": "batch"}, Task("tabular_classification", (4,), 3)),
        ("mlp", {"depth": 1, "norm": "layer"}, Task("tabular_classification", (4,), 3)),
        ("mlp", {"depth": 1, "norm": "batch"}, Task("tabular_regression", (4,), 1)),
        ("transformer", {}, Task("image_classification", (1, 8, 8), 3)),
    ):
        parsed = families[name].Settings.model_validate(settings)
        space = SearchSpace.of_family(name, families[name], parsed, training, task)
        recipes = [d for d in space.decisions if d.name.startswith("training.")]
        sizes[name, settings.get("norm"), task.name] = count_assignments(
            [
                replace(d, domain=Choice((d.domain.first,))) if d not in recipes else d
                for d in space.decisions
            ]
        )
    assert list(sizes.values()) == [4, 2, 2, 2]


def test_a_space_of_one_point_has_nothing_to_mutate() -> None:
    space = letters(2, "a")
    only = space.sample(Random(0))
    assert space.size == 1 and not space.searches_recipe
    assert space.mutate(only, Random(0)) == only
    assert list(space.neighbours(only)) == []


def test_each_decision_is_sampled_uniformly() -> None:
    space = letters(2, "abcd")
    rng = Random(0)
    drawn = Counter(tuple(space.sample(rng).architecture.decisions.values()) for _ in range(8000))
    assert len(drawn) == 16
    assert chisquare(list(drawn.values())).pvalue > FALSE_ALARM


def test_the_mutated_decision_is_uniform_among_those_with_a_choice() -> None:
    space = space_of(
        Decision("fixed", Choice(("a",))),
        Decision("letter", Choice(("a", "b"))),
        learning_rate={"low": 0.01, "high": 0.1},
        optimizer={"choice": ["sgd", "adam", "adamw"]},
    )
    rng = Random(0)
    parent = space.sample(rng)
    before = space.values(parent)
    changes: Counter[str] = Counter()
    for _ in range(6000):
        after = space.values(space.mutate(parent, rng))
        changes.update(name for name in before if before[name] != after[name])
    assert set(changes) == {"letter", "training.learning_rate", "training.optimizer"}
    assert chisquare(list(changes.values())).pvalue > FALSE_ALARM


def test_crossover_takes_each_decision_from_either_parent() -> None:
    space = letters(8, "ab")
    rng = Random(0)
    first = space.candidate({**space.values(space.sample(rng)), **{f"d{i}": "a" for i in range(8)}})
    second = space.candidate({**space.values(first), **{f"d{i}": "b" for i in range(8)}})
    letters_drawn = Counter(
        letter
        for _ in range(500)
        for letter in space.crossover(first, second, rng).architecture.decisions.values()
    )
    assert chisquare(list(letters_drawn.values())).pvalue > FALSE_ALARM


def test_isomorphic_architectures_share_a_key() -> None:
    space = letters(2, "ab", symmetric=True)
    values = space.values(space.sample(Random(0)))
    ab, ba = ({**values, "d0": first, "d1": second} for first, second in ("ab", "ba"))
    one, other = space.candidate(ab), space.candidate(ba)
    assert one.architecture.key != other.architecture.key
    assert space.keys(one) == space.keys(other)


def test_a_candidate_of_another_space_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed are"):
        letters(2, "ab").values(letters(2, "cd").sample(Random(0)))


@pytest.mark.parametrize(
    "decisions",
    [
        [Decision("a", Choice((1,))), Decision("a", Choice((2,)))],
        [Decision("a", Choice((1,)), (("b", (1,)),)), Decision("b", Choice((1,)))],
    ],
)
def test_decisions_are_distinct_and_in_order(decisions: list[Decision]) -> None:
    with pytest.raises(ValueError, match="decided twice, or before its conditions"):
        space_of(*decisions)


@pytest.mark.parametrize(
    ("settings", "task", "later"),
    [
        (
            {
                "family": "cnn_cell",
                "stem_stride": {"choice": [1, 2]},
                "head_pool": {"choice": [1, 2]},
            },
            Task("image_classification", (1, 16, 16), 3),
            {"stem_stride": 1, "head_pool": 1},
        ),
        (
            {"family": "rnn", "window_scaling": {"choice": ["none", "mean"]}},
            Task("forecasting", (12, 2), 4, targets=(0, 1)),
            {"window_scaling": "none", "relative": False},
        ),
        (
            {"family": "linear", "relative": {"choice": [True, False]}},
            Task("forecasting", (12, 2), 4, targets=(0, 1)),
            {"relative": False},
        ),
    ],
)
def test_an_architecture_from_before_a_decision_stands_in_its_space_as_what_it_meant(
    settings: dict[str, Any], task: Task, later: dict[str, Scalar]
) -> None:
    family = families[settings["family"]]
    parsed = family.Settings.model_validate(settings)
    space = SearchSpace.of_family(settings["family"], family, parsed, TrainingSettings(), task)
    sampled = next(
        found
        for seed in range(1000)
        if later.items() <= (found := space.sample(Random(seed)).architecture).decisions.items()
    )
    older = Architecture(
        sampled.family, {k: v for k, v in sampled.decisions.items() if k not in later}
    )
    assert space.known(older).architecture == sampled
    assert family.canonical(older) == family.canonical(sampled), "it has always meant that"
