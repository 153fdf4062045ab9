"""Whether a person's browser asks, or a program: `Accept`, RFC 9110, section 12.5.1."""

from __future__ import annotations

from collections.abc import Iterator

HTML, JSON = "text/html", "application/json"


def prefers_html(accept: str | None) -> bool:
    """Whether the header names HTML, and before JSON. One that is left out, or takes anything,
    asks for JSON.
    """
    weights = dict(_weights(accept or ""))
    html = weights.get(HTML, 0.0)
    return html > 0 and html >= weights.get(JSON, 0.0)


def _weights(accept: str) -> Iterator[tuple[str, float]]:
    """(media type, its weight); a weight that cannot be read is none."""
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        yield name, weight
