"""What the written form of every topology has in common: names, calls, blocks of lines."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from models.cells import Frame, Nodes, Term
from models.writing import WIDTH


def edge(node: int, term: Term) -> str:
    """The name of the module on an edge."""
    return f"node_{node}_from_{term.source}"


def operation_classes(network: nn.Module) -> tuple[type[nn.Module], ...]:
    """The plain classes that the network is made of, sorted by name."""
    kinds = {type(module) for module in network.modules()}
    plain = [kind for kind in kinds if kind.__module__.startswith("models.operations.")]
    return tuple(sorted(plain, key=lambda kind: kind.__name__))


def call(module: nn.Module, *arguments: object, stride: int = 1, batch_norm: bool = True) -> str:
    """The constructor call of `module`; what is the default is left out."""
    given = [str(argument) for argument in arguments]
    if stride > 1:
        given.append(f"stride={stride}")
    if not batch_norm and any(True for _ in module.parameters()):
        given.append("batch_norm=False")
    return f"{type(module).__name__}({', '.join(given)})"


def edge_lines(
    cell: nn.Module, nodes: Nodes, batch_norm: bool, halved: Collection[int] = ()
) -> list[str]:
    """The constructor's lines, one an edge; those from the nodes `halved` have stride 2."""
    lines = []
    for node, terms in nodes.items():
        for term in terms:
            stride = 2 if term.source in halved else 1
            module = cell.get_submodule(edge(node, term))
            made = call(module, "channels", stride=stride, batch_norm=batch_norm)
            lines.append(f"self.{edge(node, term)} = {made}")
    return lines


def node_lines(nodes: Nodes) -> list[str]:
    """The forward pass, one statement a node."""
    lines = []
    for node, terms in nodes.items():
        parts = [f"self.{edge(node, term)}(node_{term.source})" for term in terms]
        line = f"node_{node} = {' + '.join(parts)}"
        if len(line) <= WIDTH:
            lines.append(line)
        elif len(" + ".join(parts)) <= WIDTH - 4:
            lines += [f"node_{node} = (", f"    {' + '.join(parts)}", ")"]
        else:
            lines += [f"node_{node} = (", f"    {parts[0]}"]
            lines += [*(f"    + {part}" for part in parts[1:]), ")"]
    return lines


def pool_text(frame: Frame, last: str) -> tuple[list[str], str]:
    """The constructor's lines of the pooling, and the features of what the cells leave."""
    if frame.head_pool == 1:
        return [], f"{last}.mean(dim=(2, 3))"
    return [f"self.pool = nn.AdaptiveAvgPool2d({frame.head_pool})"], f"self.pool({last}).flatten(1)"


def head_lines(network: nn.Module, features: str) -> tuple[list[str], list[str]]:
    """Constructor and forward pass of dropout and classifier."""
    dropout, classifier = network.get_submodule("dropout"), network.get_submodule("classifier")
    if not (isinstance(dropout, nn.Dropout) and isinstance(classifier, nn.Linear)):
        raise TypeError(f"a head is Dropout and Linear, got {dropout} and {classifier}")
    made = [f"self.classifier = nn.Linear({classifier.in_features}, {classifier.out_features})"]
    if dropout.p == 0:
        return made, [f"return self.classifier({features})"]
    return (
        [f"self.dropout = nn.Dropout({dropout.p})", *made],
        [f"return self.classifier(self.dropout({features}))"],
    )
