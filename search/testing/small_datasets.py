"""A small dataset of each kind of task, made in a moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from models.datasets import Dataset, datasets, graphs, series, text
from search.testing.small_graphs import citations, molecules

WORDS = np.array(["good", "bad", "the", "film", "was", "very"])


def waves() -> Dataset:
    steps = np.arange(200)
    values = np.stack([np.sin(steps / 5), 3 + np.cos(steps / 7)], axis=1)
    return series.forecasting("waves", values, ["a", "b"], ["b"], window=8, horizon=3)


def rhythms() -> Dataset:
    """Fast and slow ones, of two channels."""
    rng, fast = np.random.default_rng(0), np.arange(60) % 2
    steps = np.arange(8) + rng.uniform(0, 6, (60, 1))
    wave = np.sin(steps * np.where(fast, 2.0, 0.7)[:, None])
    x = np.stack([wave, rng.normal(size=wave.shape)], axis=2)
    return series.classification("rhythms", x, np.array(["slow", "fast"])[fast])


def opinions() -> Dataset:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(120)]
    labels = np.array(["for" if "good" in found else "against" for found in texts])
    return text.classification("opinions", texts, labels)


def story() -> Dataset:
    words = np.random.default_rng(0).choice(WORDS, 400)
    return text.language_modeling("story", " ".join(words), window=12)


SMALL: Mapping[str, Callable[[], Dataset]] = {
    "tabular_classification": datasets["wine"].load,
    "tabular_regression": datasets["diabetes"].load,
    "image_classification": datasets["digits"].load,
    "forecasting": waves,
    "sequence_classification": rhythms,
    "text_classification": opinions,
    "language_modeling": story,
    "node_classification": lambda: graphs.of_nodes("citations", citations()),
    "graph_classification": lambda: graphs.of_graphs("molecules", molecules()),
}
"""By task."""
