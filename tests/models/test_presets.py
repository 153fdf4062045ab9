"""Parameter counts of torchvision's models, BERT, DeiT, DARTS, and of others as worked out here."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.cost import cost
from models.family import families
from models.presets import Preset, preset, presets
from models.recipe import Recipe
from models.registry import UnknownNameError
from models.task import Task

PARAMETERS = {
    "lenet-5": (25 + 1) * 6 + (25 * 6 + 1) * 16 + 401 * 120 + 121 * 84 + 85 * 10,
    "alexnet": 61_100_840,
    "vgg-16": 138_357_544,
    "resnet-50": 25_557_032,
    "mobilenet-v2": 3_504_872,
    "efficientnet-b0": 5_288_548,
    "gcn": 1433 * 16 + 16 + 16 * 7 + 7,
    "gat": 1433 * 64 + 3 * 64 + 64 * 7 + 3 * 7,
    "sgc": 1433 * 7 + 7,
    "appnp": 1434 * 64 + 65 * 7,
    "features-alone": 1434 * 64 + 65 * 7,
    "gin": 8 * 32 + 9 * 33 * 32 + 5 * 64 + 161 * 2,
    "linear": 31 * 2,
    "dlinear": 2 * (336 + 1) * 96,
    "fasttext": (20_000 + 16_384) * 10 + 11 * 2,
    "bag-of-words": 20_000 * 32 + 33 * 2,
    "rocket": (2 * 1024 + 1) * 6,
    "patchtst": 17 * 128
    + 42 * 128
    + 3 * (4 * 129 * 128 + 129 * 256 + 257 * 128 + 4 * 128)
    + 2 * 128
    + (42 * 128 + 1) * 96,
    "tcn": 8 * 25 + 15 * (7 * 25 * 25 + 25) + 2 * 25 + 26 * 10,
    "text-cnn": 20_000 * 300 + 300 * 100 * 12 + 300 + 301 * 2,
    "nlinear": (336 + 1) * 96,
    "tabm": 30 * 128 + 128 * 128 + 16 * (30 + 5 * 128 + 129 * 2),
    "mlp-100": 31 * 100 + 101 * 2,
    "lstm": 10_000 * 200 + 2 * (4 * 200 * 400 + 2 * 4 * 200) + 201 * 10_000,
    "bilstm": 20_000 * 128 + 2 * 4 * (128 * 256 + 2 * 128) + 257 * 2,
    "gru": 10_000 * 200 + 2 * (3 * 200 * 400 + 2 * 3 * 200) + 201 * 10_000,
    "bert-mini": 11_170_560 - 257 * 256 + 257 * 2,  # without its pooler, with a classifier
    "hashed-ngrams": (65 + 65**2 + 2 * 16_384) * 64 + 65 * 65,
    "rnn-me": (65 + 65**2 + 3 * 16_384) * 64 + 65 * 128 + 6 * 129 * 128 + 193 * 65,
    "gpt-mini": 193 * 65 - 65 + 65 * 192 + 128 * 192 + 6 * 444_864 + 2 * 192,
    "vit-tiny": 5_717_416,
    "darts": 3_349_342,  # as its authors' code says it
    "nasbench201-best": 1_073_466,  # as the benchmark lists it
}
MULTIPLY_ADDS = {  # published, in millions: torchvision's documentation, or the paper
    "alexnet": 714,
    "vgg-16": 15_470,
    "resnet-50": 4_089,
    "mobilenet-v2": 301,
    "efficientnet-b0": 386,
    "vit-tiny": 1260,
}


def published_task(known: Preset) -> Task:
    return Task.from_json({"name": known.published["task"], **known.published})


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_preset_has_the_published_number_of_parameters(name: str) -> None:
    known = preset(name)
    found = cost(known.architecture, published_task(known), Recipe())
    assert found["parameters"] == known.published["parameters"] == PARAMETERS[name]


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_a_preset_does_the_published_work(name: str) -> None:
    """So that strides and paddings are right as well, which parameters do not show. AlexNet's
    first convolution is padded to 56 pixels in place of 55.
    """
    known = preset(name)
    found = cost(known.architecture, published_task(known), Recipe())
    assert found["flops"] / 2e6 == pytest.approx(MULTIPLY_ADDS[name], rel=0.015)


def test_lenet_is_the_plain_network() -> None:
    plain = nn.Sequential(
        nn.ZeroPad2d(2),
        nn.Conv2d(1, 6, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )
    known = preset("lenet-5")
    network = families["cnn_stages"].build(known.architecture, published_task(known), Recipe())
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        ours.data.copy_(theirs.data)
    x = torch.randn(3, 1, 28, 28)
    torch.testing.assert_close(network(x), plain(x))


def test_every_preset_is_a_document_that_can_be_built() -> None:
    for name, known in presets().items():
        task = published_task(known)
        assert known.name == name and known.description
        assert task.name in families[known.architecture.family].tasks
        recipe = known.recipe_for(task, epochs=3)
        assert recipe.epochs == 3
        own = {**known.recipe, "epochs": 3}  # what is wanted goes before what a preset says
        assert all(getattr(recipe, field) == value for field, value in own.items())
        with torch.device("meta"):
            families[known.architecture.family].build(known.architecture, task, recipe)
    with pytest.raises(UnknownNameError, match="unknown preset 'lenet', known are alexnet, "):
        preset("lenet")


def test_what_a_network_in_a_presets_likeness_has_is_none_of_its_own_decisions() -> None:
    for known in presets().values():
        assert not known.near.keys() & known.architecture.decisions.keys()
        assert known.likeness.decisions == {**known.architecture.decisions, **known.near}
