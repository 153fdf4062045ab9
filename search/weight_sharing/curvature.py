"""How sharply a loss bends: the largest eigenvalue of its Hessian, by power iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from search.streams import SupernetPurpose, seed_for

MAX_PRODUCTS = 30
"""With the Hessian, for one eigenvalue; more would change little of it."""

TOLERANCE = 1e-2
"""The iteration ends when a further product changes the eigenvalue by less than this share."""


class Eigenpair(NamedTuple):
    """An eigenvalue and its vector of length 1.

    Shapes:
        vector: (values of all parameters,)
    """

    value: float
    vector: Tensor


def largest_eigenvalue(
    loss: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    start: Tensor | None = None,
    *,
    max_products: int = MAX_PRODUCTS,
    tolerance: float = TOLERANCE,
) -> Eigenpair:
    """Of the Hessian of `loss` in all `parameters` together, with exact products by autograd.

    The largest, not the largest in size: where that one is negative, the iteration goes on with
    the Hessian less that one. `start`: the vector of a Hessian much like this one saves products.
    """
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        slope = _flat(torch.autograd.grad(loss(), parameters, create_graph=True))

        def product(vector: Tensor, shift: float = 0.0) -> Tensor:
            found = torch.autograd.grad(
                slope, parameters, vector, retain_graph=True, allow_unused=True
            )
            whole = _flat(
                torch.zeros_like(parameter) if part is None else part
                for parameter, part in zip(parameters, found, strict=True)
            )
            return whole - shift * vector

        generator = torch.Generator().manual_seed(seed_for(0, SupernetPurpose.CURVATURE))
        anywhere = torch.randn(len(slope), generator=generator).to(slope)
        begin = anywhere if start is None else start.to(slope)
        found = _dominant(product, begin, max_products, tolerance)
        if found.value >= 0:
            return found
        lowest = found.value
        found = _dominant(lambda v: product(v, lowest), anywhere, max_products, tolerance)
    return Eigenpair(found.value + lowest, found.vector)


def _dominant(
    product: Callable[[Tensor], Tensor], start: Tensor, max_products: int, tolerance: float
) -> Eigenpair:
    """The eigenvalue that is the largest in size, as the Rayleigh quotient of its vector."""
    vector, value = start / start.norm(), 0.0
    for _ in range(max_products):
        image = product(vector)
        before, value = value, float(torch.dot(vector, image))
        length = image.norm()
        if not length > 0 or abs(value - before) <= tolerance * abs(value):
            break
        vector = image / length
    return Eigenpair(value, vector)


def _flat(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts])
