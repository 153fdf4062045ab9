from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from models.architecture import Architecture
from models.domains import Choice, Scalar
from models.exporters.source import source
from models.family import InfeasibleError, families
from models.operations.attention import SinusoidalPositions, rotated
from models.recipe import Recipe
from models.task import Task
from models.training.initialization import initialize

FAMILY = families["transformer"]
SERIES = Task("forecasting", (9, 3), 4)
TEXT = Task("text_classification", (9,), 3, vocabulary=11)
LANGUAGE = Task("language_modeling", (9,), 11, vocabulary=11)
IMAGE = Task("image_classification", (2, 6, 4), 3)
MIXERS = ["attention", "convolution", "pooling"]


def transformer(*mixers: str, **changed: Scalar) -> Architecture:
    values: dict[str, Scalar] = {
        "layers": len(mixers),
        "width": 8,
        "heads": 2,
        "feed_forward": 2,
        "activation": "relu",
        "norm": "pre",
        "positions": "learned",
        "readout": "mean",
        "dropout": 0.0,
    }
    for layer, mixer in enumerate(mixers, 1):
        values[f"layer_{layer}_mixer"] = mixer
        if mixer != "attention":
            values[f"layer_{layer}_kernel"] = 3
    return Architecture("transformer", values | changed)


@pytest.mark.parametrize("task", [TEXT, LANGUAGE], ids=lambda task: task.name)
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_block_is_torchs_encoder_layer(norm: str, task: Task) -> None:
    architecture = transformer("attention", norm=norm, readout="mean")
    network: Any = FAMILY.build(architecture, task, Recipe()).eval()
    plain: Any = nn.TransformerEncoderLayer(
        8, 2, 16, dropout=0.0, batch_first=True, norm_first=norm == "pre"
    )
    block = network.block_1
    for ours, theirs in [
        (block.mixer.query_key_value.weight, plain.self_attn.in_proj_weight),
        (block.mixer.query_key_value.bias, plain.self_attn.in_proj_bias),
        (block.mixer.output, plain.self_attn.out_proj),
        (block.norm_1, plain.norm1),
        (block.norm_2, plain.norm2),
        (block.feed_forward[0], plain.linear1),
        (block.feed_forward[2], plain.linear2),
    ]:
        if isinstance(ours, nn.Module):
            theirs.load_state_dict(ours.state_dict())
        else:
            theirs.data.copy_(ours.data)
    tokens = torch.randint(1, 11, (4, 9))
    padding = None
    if task is TEXT:
        tokens[0, 6:] = 0
        padding = tokens == 0
    x = network.tokens(tokens) + network.positions.weight
    x = x if norm == "pre" else network.norm(x)
    causal = nn.Transformer.generate_square_subsequent_mask(9) if task is LANGUAGE else None
    x = plain(x, src_mask=causal, src_key_padding_mask=padding)
    x = network.norm(x) if norm == "pre" else x
    if task is TEXT:
        x = torch.stack([row[token != 0].mean(0) for row, token in zip(x, tokens, strict=True)])
    torch.testing.assert_close(network(tokens), network.output(x))


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("readout", ["mean", "token"])
def test_padding_changes_nothing(mixer: str, readout: str) -> None:
    for positions, norm in product(("sinusoidal", "learned", "rotary"), ("pre", "post")):
        architecture = transformer(mixer, mixer, readout=readout, positions=positions, norm=norm)
        network = FAMILY.build(architecture, TEXT, Recipe()).eval()
        tokens = torch.randint(1, 11, (3, 9))
        tokens[:, 5:] = 0
        torch.testing.assert_close(network(tokens), network(tokens[:, :5]))
        assert network(torch.zeros_like(tokens)).isfinite().all()  # texts without a word


@pytest.mark.parametrize("mixer", MIXERS)
def test_a_language_model_knows_nothing_of_what_follows_and_all_of_what_was(mixer: str) -> None:
    architecture = transformer(*4 * [mixer], positions="rotary", norm="post")
    network = FAMILY.build(architecture, LANGUAGE, Recipe()).eval()
    embedded = network.get_submodule("tokens")
    x = torch.randn(1, 9, 8, requires_grad=True)
    embedded.forward = lambda tokens: x  # type: ignore[method-assign]
    network(torch.zeros(1, 9, dtype=torch.int64))[0, 4].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(dim=1) > 0
    assert seen.tolist() == [True] * 5 + [False] * 4


def test_rotary_products_depend_on_the_distance_alone() -> None:
    """And for two values a rotation by the position in radians is known by hand."""
    query, key = torch.randn(2, 1, 6, dtype=torch.float64)
    products = rotated(query.expand(7, 6)) @ rotated(key.expand(7, 6)).T
    for distance in range(-6, 7):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(  # angles are float32
            diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=0
        )
    assert not torch.allclose(products[0, 0], products[0, 1])
    turned = rotated(torch.tensor([1.0, 0.0]).expand(4, 2))
    expected = torch.tensor([[math.cos(p), math.sin(p)] for p in range(4)])
    torch.testing.assert_close(turned, expected)


@pytest.mark.parametrize("width", [5, 6])
def test_sinusoidal_positions_are_those_of_the_paper(width: int) -> None:
    added = SinusoidalPositions()(torch.zeros(1, 8, width))[0]
    for position, index in product(range(8), range(width)):
        angle = position / 10_000 ** (2 * (index // 2) / width)
        wave = math.cos(angle) if index % 2 else math.sin(angle)
        assert added[position, index].item() == pytest.approx(wave, abs=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_pooling_is_the_mean_of_the_neighbours_less_the_token(causal: bool) -> None:
    task = LANGUAGE if causal else SERIES
    mixer: Any = FAMILY.build(transformer("pooling"), task, Recipe())
    x = torch.randn(1, 9, 8)
    mixed = mixer.block_1.mixer(x)
    for place in range(9):
        near = x[0, max(place - (2 if causal else 1), 0) : place + (1 if causal else 2)]
        torch.testing.assert_close(mixed[0, place], near.mean(0) - x[0, place])


def test_patches_are_read_row_by_row_and_divide_the_image() -> None:
    network: Any = FAMILY.build(transformer("attention", patch=2), IMAGE, Recipe())
    image = torch.randn(1, 2, 6, 4)
    tokens = network.tokens(image)
    assert tokens.shape == (1, 6, 8) and network.positions.weight.shape == (6, 8)
    convolution = network.tokens.convolution
    square = image[0, :, 2:4, 2:4]  # the fourth of two a row
    by_hand = torch.einsum("ochw,chw->o", convolution.weight, square) + convolution.bias
    torch.testing.assert_close(tokens[0, 3], by_hand)
    message = "a patch divides both sides of the image, got 4 and 6x4 pixels"
    with pytest.raises(InfeasibleError, match=message):
        FAMILY.build(transformer("attention", patch=4), IMAGE, Recipe())
    asked = FAMILY.Settings.model_validate({"patch": {"choice": [1, 2, 3, 4]}})
    domains = {d.name: d.domain for d in FAMILY.decisions(asked, IMAGE)}
    assert domains["patch"] == Choice((1, 2))
    with pytest.raises(InfeasibleError, match="got 3, 5 and 6x4") as caught:
        settings = FAMILY.Settings.model_validate({"patch": {"choice": [3, 5]}})
        FAMILY.decisions(settings, IMAGE)
    assert caught.value.field == "patch"


def test_heads_count_only_where_there_is_attention() -> None:
    for mixer, same in (("attention", False), ("pooling", True)):
        keys = {FAMILY.canonical(transformer(mixer, heads=heads)).key for heads in (1, 2)}
        assert (len(keys) == 1) == same
    FAMILY.build(transformer("pooling", heads=3), SERIES, Recipe())
    asked = FAMILY.Settings.model_validate({"mixer": "attention", "heads": 5, "width": 32})
    with pytest.raises(InfeasibleError, match="got heads 5 and width 32"):
        FAMILY.decisions(asked, SERIES)
    names = {d.name for d in FAMILY.decisions(asked.model_copy(update={"heads": 4}), SERIES)}
    assert "layer_1_kernel" not in names and "patch" not in names


@pytest.mark.parametrize(
    ("architecture", "field", "message"),
    [
        (transformer("attention", heads=3), "heads", "divide the width, got 3 heads and width 8"),
        (
            transformer("attention", heads=8, positions="rotary"),
            "positions",
            "pairs of values, got 1 values a head",
        ),
        (transformer("fourier"), "layer_1_mixer", "one of attention, .* got 'fourier'"),
        (transformer("pooling", layer_1_kernel=4), "layer_1_kernel", "odd, got 4"),
        (transformer("pooling", readout="last"), "readout", "one of mean, token, got 'last'"),
        (transformer("attention", dropout=1.0), "dropout", "0..1, without 1, got 1.0"),
        (transformer("attention", width=1), "width", "at least 2, got 1"),
    ],
)
def test_decisions_that_make_no_network_are_refused(
    architecture: Architecture, field: str, message: str
) -> None:
    with pytest.raises(InfeasibleError, match=message) as caught:
        FAMILY.build(architecture, SERIES, Recipe())
    assert caught.value.field == field


@pytest.mark.parametrize("name", ["kaiming", "xavier", "orthogonal"])
def test_weights_can_be_drawn_anew(name: Any) -> None:
    network: Any = FAMILY.build(
        transformer(*MIXERS, readout="token"), SERIES, Recipe(initialization=name)
    )
    before = {key: value.clone() for key, value in network.state_dict().items()}
    initialize(network, name, torch.Generator().manual_seed(1))
    after = network.state_dict()
    changed = {key for key in after if not torch.equal(before[key], after[key])}
    kept = {"class_token.weight", *(key for key in after if "norm" in key)}
    assert changed == set(after) - kept


def test_the_text_reads_as_a_person_would_write_it() -> None:
    architecture = transformer(
        "attention", "pooling", readout="token", norm="post", dropout=0.1, positions="rotary"
    )
    network = FAMILY.build(architecture, TEXT, Recipe(dropout=0.2))
    text = source(network, architecture, TEXT)
    assert WRITTEN in text
    assert "class Convolution" not in text and "class Patches" not in text


WRITTEN = '''\
class Network(nn.Module):
    """(N, 9) -> (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 8)
        self.class_token = ClassToken(8)
        self.norm = nn.LayerNorm(8)
        self.embedding_dropout = nn.Dropout(0.1)
        self.block_1 = Block(
            Attention(8, 2, rotary=True), 8, 16, nn.ReLU, pre_norm=False, dropout=0.1
        )
        self.block_2 = Block(Pooling(3), 8, 16, nn.ReLU, pre_norm=False, dropout=0.1)
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        first = torch.arange(inputs.shape[1], device=inputs.device) == 0
        mask = (inputs != 0) | first  # padding is 0; an empty text still has its first place
        x = self.tokens(inputs)
        x = self.class_token(x)
        mask = functional.pad(mask, (1, 0), value=True)
        x = self.norm(x)
        x = self.embedding_dropout(x)
        x = self.block_1(x, mask)
        x = self.block_2(x, mask)
        return self.output(self.dropout(x[:, 0]))
'''


def test_a_class_token_is_left_open_only_where_every_block_attends() -> None:
    """Without attention it stands before the texts and sees their first words at most: the last
    half of a text changes nothing of what such a network says.
    """
    network = FAMILY.build(transformer("pooling", "pooling", readout="token"), TEXT, Recipe())
    texts = torch.randint(1, 11, (1, 9)).repeat(2, 1)
    texts[1, 5:] = torch.tensor([10, 1, 10, 1])
    outputs = network.eval()(texts)
    torch.testing.assert_close(outputs[0], outputs[1])
    settings: Any = FAMILY.Settings
    left_open, attending = settings(), settings(mixer="attention")
    assert left_open.for_task(TEXT).readout == "mean"
    assert attending.for_task(TEXT) == attending and attending.doubts(TEXT) == ()
    assert left_open.for_task(TEXT).doubts(TEXT) == left_open.doubts(LANGUAGE) == ()
    for said in ({"choice": ["mean", "token"]}, "token"):
        asked = settings.model_validate({"readout": said})
        (remark,) = asked.for_task(TEXT).doubts(TEXT)
        assert asked.for_task(TEXT) == asked
        assert (remark.code, remark.where) == ("class_token_unseeing", "readout")
