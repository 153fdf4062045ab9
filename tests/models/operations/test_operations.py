"""Operations of cells, against shapes, closed forms and plain torch functions."""

from __future__ import annotations

import ast
import inspect
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.cells.darts import Darts
from models.cells.nasbench201 import NasBench201
from models.operations import allowed, operations
from models.operations.identity import FactorizedReduce
from models.registry import UnknownNameError

BUILDABLE = [name for name, entry in operations.items() if not entry.is_zero]
C = 6
# Weights and biases of one operation with C channels, counted by hand: a depthwise convolution of
# k x k has k k C weights, a pointwise one C C, batch normalisation 2 C.
PARAMETERS = {
    "avg_pool_3x3": 0,
    "dil_conv_3x3": 9 * C + C * C + 2 * C,
    "dil_conv_5x5": 25 * C + C * C + 2 * C,
    "max_pool_3x3": 0,
    "nor_conv_1x1": C * C + 2 * C,
    "nor_conv_3x3": 9 * C * C + 2 * C,
    "sep_conv_3x3": 2 * (9 * C + C * C + 2 * C),
    "sep_conv_5x5": 2 * (25 * C + C * C + 2 * C),
    "skip_connect": 0,
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_names_are_those_of_the_papers() -> None:
    assert set(Darts.operations) <= set(allowed("darts"))
    assert set(NasBench201.operations) <= set(allowed("nasbench201"))
    assert "nor_conv_3x3" not in allowed("darts")
    assert "sep_conv_3x3" not in allowed("nasbench201")


def test_an_unknown_operation_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown operation 'conv_7x7'.*sep_conv_3x3"):
        operations["conv_7x7"]


def test_zero_has_no_module() -> None:
    with pytest.raises(ValueError, match="none has no module"):
        operations["none"].build(4)


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", BUILDABLE)
def test_an_operation_keeps_channels_and_divides_the_sides_by_its_stride(
    name: str, stride: int, batch_norm: bool
) -> None:
    module = operations[name].build(C, stride, batch_norm)
    for height, width in [(8, 8), (7, 4), (2, 3), (1, 1)]:
        if batch_norm and height == 1:
            module.eval()  # one value a channel has no variance
        output = module(torch.randn(1, C, height, width))
        assert output.shape == (1, C, -(-height // stride), -(-width // stride))
    assert module(torch.randn(0, C, 4, 4)).shape[0] == 0


@pytest.mark.parametrize("name", BUILDABLE)
def test_parameters_are_those_counted_by_hand(name: str) -> None:
    assert count(operations[name].build(C)) == PARAMETERS[name]
    if name != "skip_connect":
        assert count(operations[name].build(C, stride=2)) == PARAMETERS[name]


def test_a_skip_of_stride_2_is_two_half_convolutions() -> None:
    assert count(operations["skip_connect"].build(C, stride=2)) == C * C + 2 * C


@pytest.mark.parametrize("name", BUILDABLE)
def test_without_normalisation_the_last_convolution_has_a_bias(name: str) -> None:
    with_norm, without = (operations[name].build(C, 2, flag) for flag in (True, False))
    norms = [m for m in with_norm.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not [m for m in without.modules() if isinstance(m, nn.BatchNorm2d)]
    assert count(with_norm) - count(without) == len(norms) * C  # weight and bias against bias


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", BUILDABLE)
def test_channels_last_gives_the_output_and_the_gradients_of_contiguous(
    name: str, stride: int
) -> None:
    torch.manual_seed(0)
    plain = operations[name].build(C, stride).double()
    fast = operations[name].build(C, stride).double()
    fast.load_state_dict(plain.state_dict())
    fast.to(memory_format=torch.channels_last)
    x = torch.randn(3, C, 7, 8, dtype=torch.double)
    results = []
    for module, given in ((plain, x), (fast, x.contiguous(memory_format=torch.channels_last))):
        given = given.detach().requires_grad_()
        output = module(given)
        weights = torch.linspace(-1, 1, output.numel(), dtype=torch.double)
        (output.contiguous().flatten() * weights).sum().backward()
        results.append((output, given.grad, [p.grad for p in module.parameters()]))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
    norms = [m for m in fast.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.weight.is_contiguous() and m.bias.is_contiguous() for m in norms)


def test_separable_and_dilated_convolutions_are_those_of_plain_torch_functions() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, C, 8, 8)
    separable = operations["sep_conv_5x5"].build(C, 2, batch_norm=False)
    d1, p1, b1, d2, p2, b2 = separable.parameters()
    y = functional.conv2d(functional.relu(x), d1, stride=2, padding=2, groups=C)
    y = functional.conv2d(y, p1, b1)
    y = functional.conv2d(functional.relu(y), d2, padding=2, groups=C)
    torch.testing.assert_close(separable(x), functional.conv2d(y, p2, b2))
    dilated = operations["dil_conv_5x5"].build(C, batch_norm=False)
    d, p, b = dilated.parameters()
    y = functional.conv2d(functional.relu(x), d, padding=4, dilation=2, groups=C)
    torch.testing.assert_close(dilated(x), functional.conv2d(y, p, b))


def test_an_average_counts_only_pixels_of_the_image() -> None:
    ones = torch.ones(1, 2, 5, 5)
    assert torch.equal(operations["avg_pool_3x3"].build(2)(ones), ones)
    assert torch.equal(operations["max_pool_3x3"].build(2)(-ones), -ones)


def test_the_two_halves_of_a_factorized_reduction_see_different_pixels() -> None:
    reduce = FactorizedReduce(1, 2, batch_norm=False)
    nn.init.ones_(reduce.even.weight)
    nn.init.ones_(reduce.odd.weight)
    nn.init.zeros_(reduce.even.bias)
    nn.init.zeros_(reduce.odd.bias)
    image = torch.arange(25.0).reshape(1, 1, 5, 5)
    even, odd = reduce(image)[0]
    assert even.tolist() == [[0, 2, 4], [10, 12, 14], [20, 22, 24]]
    assert odd.tolist() == [[6, 8, 0], [16, 18, 0], [0, 0, 0]]


@pytest.mark.parametrize("name", BUILDABLE)
@pytest.mark.parametrize("stride", [1, 2])
def test_every_parameter_gets_a_gradient(name: str, stride: int) -> None:
    torch.manual_seed(0)
    module = operations[name].build(C, stride)
    output = module(torch.randn(4, C, 6, 6, requires_grad=True))
    (output * torch.randn_like(output)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.parametrize("name", BUILDABLE)
def test_the_text_of_an_operation_needs_only_torch_and_its_neighbours(name: str) -> None:
    entry = operations[name]
    for kind in {entry.module, entry.strided} - {None}:
        tree = ast.parse(inspect.getsource(kind))
        tree.body[0].decorator_list.clear()
        scope = vars(sys.modules[kind.__module__])
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & set(scope)
        for value in (scope[used_name] for used_name in used):
            home = getattr(value, "__module__", None) or value.__name__
            assert home.startswith(("torch", "models.operations.")), (kind, value)
