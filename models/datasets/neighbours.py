"""How many others a node is linked to. The same text runs in a bundle: nothing here needs more than
torch.
"""

from __future__ import annotations

import torch
from torch import Tensor


def neighbours_of(edges: Tensor, nodes: int) -> Tensor:
    """Of each node the number of others that an edge, in whichever direction, links it to.

    Shapes:
        edges: (2, edges) int64 -> (nodes,) int64
    """
    low, high = edges.sort(dim=0).values
    pairs = torch.unique((low * nodes + high)[low != high])
    return torch.bincount(torch.cat([pairs // nodes, pairs % nodes]), minlength=nodes)
