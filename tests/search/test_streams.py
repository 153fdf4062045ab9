"""No two purposes share a stream of random numbers, and older searches keep those they had."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any

import pytest

from models import streams as ground
from models.datasets import Fold, datasets
from models.datasets.reference import StoredDataset
from models.datasets.stored import save
from models.storage import sha256_of_file
from models.streams import Purpose, TrainingPurpose
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.evaluators.train import TrainEvaluator
from search.request.dataset_facts import DatasetFacts, named_facts
from search.request.dry_run import estimate
from search.request.resolve import resolve
from search.request.screening import Screening
from search.strategies.weight_sharing import candidate_strategies
from search.strategy import strategies
from search.streams import (
    OlderSeed,
    SearchPurpose,
    SupernetPurpose,
    rng_for,
    seed_document,
    seed_for,
    seed_from,
    supernet_seed,
)

ROOT = Path(__file__).parents[2]
PURPOSES: tuple[type[Purpose], ...] = (TrainingPurpose, SearchPurpose, SupernetPurpose)
DEFINITIONS = {ROOT / "models" / "streams.py", ROOT / "search" / "streams.py"}

Site = tuple[str, int]


def request(name: str) -> dict[str, Any]:
    """A small search that draws all that it can."""
    strategy: dict[str, Any] = {"name": name}
    sharing = name not in candidate_strategies()
    if sharing:
        strategy |= {"seeds": 1, "epochs": 2, "batch_size": 64}
        few = {"samples": 3, "finalists": 2} if name in ("enas", "random_sharing") else {}
        guarded = {} if few else {"guard": {"action": "restart", "every": 1}}
        strategy |= few | guarded | ({"partial": 1} if name == "pc_darts" else {})
    return {
        "dataset": "wine",
        "space": {"family": "mlp", "norm": "batch", "dropout": 0.0},
        "training": {
            "epochs": 2,
            "batch_size": 64,
            "dropout": 0.2,
            "learning_rate": {"choice": [0.01, 0.02]},
            "initialization": "kaiming",
            "pretraining": "masked",
            "pretraining_epochs": 2,
        },
        "strategy": strategy,
        "budget": {"trials": 4},
        "proxies": [] if sharing else [{"name": "naswot", "samples": 3, "top": 1}],
        "baseline": None if sharing else "random",
        "final": {"seeds": 2, "epochs": 2},
    }


def folded(file: Path) -> DatasetFacts:
    """Wine with two folds, both its own split."""
    wine = datasets["wine"].load()
    fold = Fold(wine.train, wine.validation, wine.preprocessing)
    save(replace(wine, folds=(fold, fold)), file)
    stored = StoredDataset(str(file), sha256_of_file(file))
    sizes = (len(wine.train),) * 2
    return replace(named_facts("wine"), reference=stored, fold_sizes=sizes)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[Site]]:
    """The name of each stream that is begun, and where in the code."""
    found: dict[str, set[Site]] = defaultdict(set)

    class Recorded(Random):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            frame = sys._getframe(1)
            while frame.f_back and Path(frame.f_code.co_filename) in DEFINITIONS:
                frame = frame.f_back
            found[name].add((frame.f_code.co_filename, frame.f_lineno))

    monkeypatch.setattr(ground, "Random", Recorded)
    return found


def test_no_two_uses_share_a_stream_whatever_the_method(
    drawn: dict[str, set[Site]], tmp_path: Path
) -> None:
    """Each name belongs to one line of the code. Random search is of a dataset with folds."""
    used: set[str] = set()
    with_folds = folded(tmp_path / "folded")
    for name in strategies:
        drawn.clear()
        facts = with_folds if name == "random" else named_facts("wine")
        resolved = resolve(request(name), lambda _, facts=facts: facts)  # type: ignore[misc]
        estimate(resolved)
        screening = Screening.of(resolved)
        run = SearchRun(
            resolved.spec,
            resolved.space,
            resolved.strategy(),
            MemoryJournal(),
            resolved.cost,
            *((screening.suggestions, screening) if screening else ()),
        )
        folder = tmp_path / name
        folder.mkdir()
        run_serial(run, TrainEvaluator.for_search(resolved.spec, str(folder), facts.reference))
        assert run.failed_reason is None, name
        shared = {stream: sites for stream, sites in drawn.items() if len(sites) > 1}
        assert not shared, f"{name}: {shared}"
        used |= {stream.partition(" ")[2].rstrip("-0123456789").strip() for stream in drawn}
    assert used == {str(purpose) for kind in PURPOSES for purpose in kind}


def test_a_purpose_is_spelled_once() -> None:
    values = [purpose.value for kind in PURPOSES for purpose in kind]
    assert len(set(values)) == len(values)
    assert set(Purpose.__subclasses__()) == set(PURPOSES)


def calls(names: set[str]) -> list[tuple[str, ast.Call]]:
    """The calls of functions and methods of these names, outside of the definitions."""
    found = []
    for package in ("models", "search", "service"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path in DEFINITIONS:
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    function = node.func
                    called = function.attr if isinstance(function, ast.Attribute) else None
                    called = function.id if isinstance(function, ast.Name) else called
                    if called in names:
                        found.append((f"{path.relative_to(ROOT)}:{node.lineno}", node))
    return found


def test_every_call_names_a_purpose() -> None:
    known: dict[str, type[StrEnum]] = {kind.__name__: kind for kind in PURPOSES}
    found = calls({"rng_for", "seed_for"})
    assert len(found) > 20
    for where, call in found:
        purpose = call.args[1] if len(call.args) > 1 else None
        assert isinstance(purpose, ast.Attribute), f"{where} names no purpose"
        assert isinstance(purpose.value, ast.Name), where
        assert purpose.attr in known[purpose.value.id].__members__, where


def test_nothing_draws_from_a_stream_without_a_purpose() -> None:
    """But for what is given a seed of its own, and the first weights of a network."""
    seeded_by_their_caller = {
        "models/converting.py",  # the samples that a form of a model is held to
        "models/datasets/splits.py",  # by the dataset's own seed
        "models/proxies/__init__.py",
        "models/training/initialization.py",
        "search/results/comparison.py",  # by that of a report
        "search/strategies/random_sharing.py",  # from the generator of a stream
        "search/weight_sharing/halves.py",  # by `seed_for` above it
    }
    for where, call in calls({"manual_seed", "Random", "default_rng", "PCG64"}):
        inner = call.args[0] if call.args else None
        is_named = isinstance(inner, ast.Call) and (
            ast.unparse(inner.func) == "seed_for" or ".randrange" in ast.unparse(inner)
        )
        path = where.partition(":")[0]
        is_of_a_test = path.startswith("search/testing/")  # whose examples have their own seeds
        known = path in seeded_by_their_caller or "datasets" in path or is_of_a_test
        assert is_named or known, where


@pytest.mark.parametrize(
    ("purpose", "number", "name"),
    [
        (SearchPurpose.ASK, 5, "3:5"),
        (SearchPurpose.GRID, None, "3:0"),
        (SearchPurpose.POLICY, None, "3:-1"),
        (SearchPurpose.SUPERNET, 2, "3:2"),
        (SearchPurpose.DERIVED_RECIPE, 2, "3:2"),
        (SearchPurpose.SCREENING, 4, "3:-5"),
        (SearchPurpose.BASELINE, 7, "3:7"),
        (SupernetPurpose.WEIGHTS, None, "3:0"),
        (SupernetPurpose.CLOSING, None, "3:0"),
        (SupernetPurpose.GUARD, None, "3:0"),
        (SupernetPurpose.CHOICES, None, "3:-1"),
        (SupernetPurpose.ORDER, 1, "3:1"),
        (SupernetPurpose.DROPOUT, 1, "3:-2"),
    ],
)
def test_an_older_seed_has_the_streams_of_its_version(
    purpose: Purpose, number: int | None, name: str
) -> None:
    """As commit b5ecb1a spelled them, place by place."""
    assert rng_for(OlderSeed(3), purpose, number).random() == Random(name).random()
    assert rng_for(3, purpose, number).random() != Random(name).random()


@pytest.mark.parametrize("purpose", [SearchPurpose.PROXY_BATCH, SupernetPurpose.HALVES])
def test_an_older_seed_itself_drew_batch_and_halves(purpose: Purpose) -> None:
    assert seed_for(OlderSeed(3), purpose) == 3 != seed_for(3, purpose)


def test_a_supernet_has_streams_of_the_format_of_its_search() -> None:
    for seed in (3, OlderSeed(3)):
        own = supernet_seed(seed, 1)
        document = seed_document(own)
        assert type(seed_from(document)) is type(own) is type(seed)
        assert seed_from(document) == own
    assert seed_document(OlderSeed(5)) == {"seed": 5}  # as they were written then
