"""From what a network says to values in the target's own unit; also in a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from models.datasets.quantile_map import piecewise_linear


def own_values(outputs: torch.Tensor, target: Mapping[str, Any]) -> torch.Tensor:
    """Outputs of the network in the target's own unit. `target` is that of the preprocessing: the
    mean and deviation of each value, or of its transform where it has one. A transformed value is
    held to what training has seen: to its ends, or within e times as far where it is a logarithm.

    Shapes:
        (N, steps * values) -> the same, float64
    """
    x = outputs.to(torch.float64).reshape(len(outputs), -1, len(target["names"]))
    columns = []
    for index, column in enumerate(x.unbind(dim=2)):
        step: Any = target["transforms"][index] if "transforms" in target else {"op": "none"}
        if step["op"] == "none":
            own = column * target["std"][index] + target["mean"][index]
        elif step["op"] == "signed_log":  # sign(v) log(1 + |v| / unit), then standardised
            scaled = (column * step["std"] + step["mean"]).clamp(step["low"], step["high"])
            own = scaled.sign() * scaled.abs().expm1() * step["unit"]
        elif step["op"] == "quantile":
            scores = torch.tensor(step["scores"], dtype=torch.float64, device=x.device)
            values = torch.tensor(step["values"], dtype=torch.float64, device=x.device)
            own = piecewise_linear(column, scores, values)
        else:
            raise ValueError(f"unknown transform {step['op']!r}")
        columns.append(own)
    return torch.stack(columns, dim=2).reshape(outputs.shape)
