"""Drawing a split: once per dataset, by seed and stratified by class, at random, or in order; and
what of it comes with the data.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.cells import composed
from models.datasets.label_splits import by_label
from models.remarks import in_number

Indices = NDArray[np.int64]

PARTS = ("train", "validation", "test")

WORDS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "validate": "validation",
    "dev": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}
"""What people call the parts of a dataset, in lower case."""

_OTHER_WORDS: Mapping[str, str] = {
    "train": "tr trn trained learn learning fit insample entrainement entraînement apprentissage "
    "entrenamiento treningowy treningowe uczący uczące trénovací latih pelatihan "
    "treino treinamento addestramento trainings trening träning træning koulutus eğitim обучение "
    "обучающая тренировочная 训练 訓練 訓練用 学習 学習用 훈련 학습",
    "validation": "va vld validate validating validated tuning tune crossval crossvalidation "
    "validierung validierungs validación validacion validação validacao validazione validatie "
    "walidacja validering valideringssett doğrulama валидация валидационная проверочная 验证 驗證 "
    "検証 検証用 검증",
    "test": "te tst tested heldout outofsample oos prueba pruebas teste testes prova testowy testi "
    "prüfung pruefung prüf pruef essai prova prøve próba uji pengujian testowe testovací "
    "тест тестовая тестирование 测试 測試 テスト テスト用 테스트 평가",
}

CELL_WORDS: Mapping[str, str] = {
    **WORDS,
    **{word: part for part, words in _OTHER_WORDS.items() for word in words.split()},
}
"""With abbreviations and other languages, which as the name of a folder may be a class."""

_THING = (
    r"(?<=.)(sets?|data|datasets?|daten|datensatz|split|samples?|rows|images|imgs|pictures|集合?|セット"
    r"|выборка|세트)?((19|20)\d\d)?$"
)


def part_of(word: str, known: Mapping[str, str] = WORDS) -> str | None:
    """The part of `PARTS` that a person means: a word of those `known`, also as in `Train`,
    `test_set` and `val2017`. None of any other.
    """
    letters = re.sub(r"[\W_]", "", composed(word.lower()))
    if known is CELL_WORDS:
        letters = re.sub(r"^(\d+|[xy](?=t|v))|(?<=[^\W\d_])(v?\d{1,3})$", "", letters)
    return known.get(letters) or known.get(re.sub(_THING, "", letters))


@dataclass(frozen=True, slots=True)
class Folding:
    """Repeated cross-validation: train and validation together are cut into `folds`, `repeats`
    times, and each is the validation of all others once.
    """

    folds: int
    repeats: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """What is known of how samples are divided, before anything is drawn.

    folding: whether and how train and validation are cut anew for each candidate.

    Shapes:
        parts: (N,) the place in `PARTS` of each sample, -1 where it is in none; None: all are drawn
        groups: (N,) number of its group, from 0, where samples of one group stay together
    """

    parts: Indices | None = None
    groups: Indices | None = None
    folding: Folding | None = None

    @property
    def drawn(self) -> tuple[str, ...]:
        """The parts beside train that do not come with the data."""
        if self.parts is None:
            return PARTS[1:]
        return tuple(name for place, name in enumerate(PARTS) if not (self.parts == place).any())

    def sets(
        self,
        count: int,
        shares: Sequence[float],
        seed: int,
        y: NDArray[np.int64] | None = None,
        equal: Indices | None = None,
    ) -> list[Indices]:
        """Train, validation and test of `count` samples. What comes with the data stays; the rest
        is drawn from train, its share of it, stratified where there are classes, with samples that
        are `equal` in one set.

        Shapes:
            shares: of validation and test; y: (N,) class of each sample; equal: (N,) as `groups`

        Raises:
            ValueError: a set would be empty, or what comes with the data has one class in train and
                others beside it.
        """
        groups = joined(equal, self.groups)
        if self.parts is None:
            return _draw(count, shares, seed, y, groups)
        sets = [np.flatnonzero(self.parts == place) for place in range(len(PARTS))]
        if (
            y is not None
            and y.ndim == 1
            and (y[sets[0]] == y[sets[0][:1]]).all()
            and (y != y[0]).any()
        ):
            raise ValueError(
                "all samples of the given train are of one class, validation or test have others"
            )
        places = [place for place in (1, 2) if not len(sets[place])]
        if places:
            train = sets[0]
            of_train = (None if values is None else values[train] for values in (y, groups))
            drawn = _draw(len(train), [shares[p - 1] for p in places], seed, *of_train)
            for place, chosen in zip((0, *places), drawn, strict=True):
                sets[place] = train[chosen]
        return sets

    def cuts(
        self,
        sets: Sequence[Indices],
        seed: int,
        y: NDArray[np.int64] | None = None,
        equal: Indices | None = None,
    ) -> list[tuple[Indices, Indices]]:
        """Train and validation of each fold, drawn from both of `sets`, as `sets` draws them; none
        without a `folding`. What would be alone of its class in validation is trained on instead.

        Raises:
            ValueError: validation comes with the data, or a fold would be empty.
        """
        if self.folding is None:
            return []
        if "validation" not in self.drawn:
            raise ValueError("validation comes with the data, and folds would cut it anew")
        groups, found = joined(equal, self.groups), []
        pool, count = np.sort(np.concatenate(sets[:2])), self.folding.folds
        of_pool = [None if values is None else values[pool] for values in (y, groups)]
        for repeat in range(self.folding.repeats):
            shares = [1 / count] * (count - 1)
            try:
                parts = _draw(len(pool), shares, seed + repeat, *of_pool)
            except ValueError as error:
                raise ValueError(f"{count} folds of train and validation: {error}") from None
            for part in parts:
                validation = pool[part]
                train = np.setdiff1d(pool, validation)
                if y is not None:
                    validation = validation[_all_in(y[validation], y[train])]
                found.append((np.setdiff1d(pool, validation), validation))
        return found


def _all_in(y: NDArray[Any], known: NDArray[Any]) -> NDArray[np.bool_]:
    """Of which samples the class, or every label, is one of `known` samples."""
    if y.ndim == 2:
        return np.asarray(~(y & ~known.any(axis=0)).any(axis=1))
    return np.isin(y, known)


def _draw(
    count: int,
    shares: Sequence[float],
    seed: int,
    y: NDArray[np.int64] | None,
    groups: Indices | None,
) -> list[Indices]:
    if y is None:
        return shuffled(count, shares, seed, groups)
    return stratified(y, shares, seed, groups)


def equal_samples(x: Iterable[NDArray[Any]]) -> Indices | None:
    """Which samples are equal; None where none are.

    Shapes:
        (N,) number of the group, from 0
    """
    digests = [hashlib.sha256(np.ascontiguousarray(sample).data).digest() for sample in x]
    numbers: dict[bytes, int] = {}
    groups = np.array([numbers.setdefault(digest, len(numbers)) for digest in digests])
    return None if len(numbers) == len(groups) else groups


def joined(first: Indices | None, second: Indices | None) -> Indices | None:
    """Groups such that samples together in either are together; None where there are neither."""
    if first is None or second is None:
        return first if second is None else second
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start = int(first.max()) + 1
    size = start + int(second.max()) + 1
    links = coo_array((np.ones(len(first)), (first, second + start)), shape=(size, size))
    _, labels = connected_components(links, directed=False)
    return np.unique(labels[first], return_inverse=True)[1].astype(np.int64)


def stratified(
    y: NDArray[np.int64],
    shares: Sequence[float],
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> list[Indices]:
    """Disjoint sets of samples: first the rest (train), then one set a share.

    `stratified(y, (0.2, 0.2), seed)` gives 60 %, 20 % and 20 %. A set holds its share of each
    class to within one sample; what rounding takes or gives is carried on to the next class, so
    that small classes do not add up to an empty set. The first set has a sample of every class.

    Of several labels a sample each set has its share of each label (`label_splits.by_label`).

    Samples of one of the `groups` stay together. Groups of several are placed first, the largest
    of them first; samples of their own then fill each set to its share, as far as there are any.
    Where no two samples have one group, the split is that without groups.

    Shapes:
        y: (N,) class of each sample, or (N, labels) bool
        groups: (N,) number of its group, from 0
        each set: its indices in ascending order

    Raises:
        ValueError: the shares are not positive or leave nothing, or a set would be empty.
    """
    _check(shares)
    rng = np.random.Generator(np.random.PCG64(seed))
    if y.ndim == 2:
        of_each = by_label(y.astype(bool), shares, rng, groups)
        return _checked([np.flatnonzero(of_each == part) for part in range(len(shares) + 1)])
    placed = np.full(len(y), -1) if groups is None else _placed(y, groups, shares, rng)
    parts = [[np.flatnonzero(placed == index)] for index in range(len(shares) + 1)]
    carried = [0.0] * len(shares)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero((y == label) & (placed < 0)))
        there = np.bincount(placed[(y == label) & (placed >= 0)], minlength=len(parts))
        kept = 0 if there[0] else 1
        for index, share in enumerate(shares):
            wanted = share * np.count_nonzero(y == label) + carried[index] - int(there[index + 1])
            taken = min(max(round(wanted), 0), len(members) - kept)
            carried[index] = wanted - taken
            parts[index + 1].append(members[:taken])
            members = members[taken:]
        parts[0].append(members)
    return _checked([np.sort(np.concatenate(part)) for part in parts], groups)


def _placed(
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    shares: Sequence[float],
    rng: np.random.Generator,
) -> Indices:
    """The set of each sample whose group has others, -1 for those on their own.

    A group goes where it leaves the least squared deviation from the wanted counts, of each class
    and of all, each divided by the set's share; to the first set while that lacks its class; to an
    empty set where no more groups are left than such sets.
    """
    placed = np.full(len(y), -1)
    sizes = np.bincount(groups)
    left, is_empty = np.count_nonzero(sizes), np.ones(len(shares) + 1, dtype=bool)
    order, ends = np.argsort(groups, kind="stable"), np.cumsum(sizes)
    drawn = rng.permutation(np.flatnonzero(sizes > 1))
    counts = np.append(np.bincount(y), len(y))
    parts = np.array([1 - sum(shares), *shares])[:, None]
    missing, seen = parts * counts, np.zeros(len(counts), bool)
    for group in sorted(drawn.tolist(), key=lambda number: -sizes[number]):
        members = order[ends[group] - sizes[group] : ends[group]]
        own = np.append(np.bincount(y[members], minlength=len(counts) - 1), len(members))
        gains = (own * (2 * missing - own) / parts).sum(axis=1)
        if left <= is_empty.sum():
            gains[~is_empty] = -np.inf
        chosen = int(gains.argmax()) if seen[y[members]].all() else 0
        left, is_empty[chosen] = left - 1, False
        missing[chosen] -= own
        seen[y[members]] |= chosen == 0
        placed[members] = chosen
    return placed


def shuffled(
    samples: int, shares: Sequence[float], seed: int, groups: Indices | None = None
) -> list[Indices]:
    """As `stratified`, for targets without classes."""
    if groups is not None:
        return stratified(np.zeros(samples, dtype=np.int64), shares, seed, groups)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(samples)
    return [np.sort(order[part]) for part in ordered(samples, shares)]


def ordered(samples: int, shares: Sequence[float]) -> list[Indices]:
    """Contiguous blocks: the first samples are the first set (train), the last ones the last."""
    _check(shares)
    ends = np.cumsum([round(share * samples) for share in reversed(shares)])[::-1]
    bounds = [0, *(samples - ends), samples]
    return _checked([np.arange(low, high) for low, high in itertools.pairwise(bounds)])


def _check(shares: Sequence[float]) -> None:
    if any(share <= 0 for share in shares) or sum(shares) >= 1:
        raise ValueError(f"shares are positive and add up to less than 1, got {list(shares)}")


def _checked(sets: list[Indices], groups: Indices | None = None) -> list[Indices]:
    if not all(len(chosen) for chosen in sets):
        of_groups = ""
        if groups is not None:
            of_groups = f" of {in_number(len(np.unique(groups)), 'group', 'groups')}"
        one, several = (f"{what}{of_groups}" for what in ("sample", "samples"))
        are = in_number(sum(map(len, sets)), f"{one} is", f"{several} are")
        why = "" if groups is None else "; equal samples are one group, which is in one set"
        raise ValueError(f"{are} too few for sets of {[len(chosen) for chosen in sets]}{why}")
    return sets
