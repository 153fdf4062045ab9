"""What the pages load: htmx and its SSE extension as they came (`static/VENDORED.md`), a style."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from fastapi import APIRouter, Response

from service.api.charts.svg import style
from service.api.security import open_to_all

router = APIRouter(prefix="/dashboard", include_in_schema=False)

_FILES = {
    "htmx.min.js": "text/javascript",
    "sse.min.js": "text/javascript",
    "dashboard.css": "text/css",
}


def _route(name: str, media_type: str) -> Callable[[], Response]:
    def asset() -> Response:
        content = (files("service.api.dashboard") / "static" / name).read_text("utf-8")
        if media_type == "text/css":
            content = style() + content
        headers = {"Cache-Control": "public, max-age=3600"}
        return Response(content, media_type=media_type, headers=headers)

    return asset


for _name, _media_type in _FILES.items():
    router.get(f"/{_name}")(open_to_all(_route(_name, _media_type)))
