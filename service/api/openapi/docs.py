"""`/docs`: Swagger UI 5.35.0 (`swagger-ui-dist` on npm), served from this package.

The page loads nothing from elsewhere, and its policy forbids the browser to try. What it loads
is named beside it, so that it works under any prefix.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from service.api.security import open_to_all

router = APIRouter(include_in_schema=False)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Nasmith API</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="docs/swagger-ui-bundle.js"></script>
  <script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""


@router.get("/docs")
@open_to_all
async def page() -> HTMLResponse:
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/start.js")
@open_to_all
async def start() -> Response:
    return _asset(_START.encode(), "text/javascript")


@router.get("/docs/swagger-ui.css")
@open_to_all
def style() -> Response:
    return _asset(_read("swagger-ui.css"), "text/css")


@router.get("/docs/swagger-ui-bundle.js")
@open_to_all
def script() -> Response:
    return _asset(_read("swagger-ui-bundle.js"), "text/javascript")


def _read(name: str) -> bytes:
    return (files("service.api.openapi") / "static" / name).read_bytes()


def _asset(content: bytes, media_type: str) -> Response:
    headers = {"Cache-Control": "public, max-age=3600"}
    return Response(content, media_type=media_type, headers=headers)
