"""Where the API lies for its clients: at the root of a host, or under a prefix of a proxy.

A setting says the prefix (`NASMITH_ROOT_PATH`); what a request says of it is not believed. The
proxy may take the prefix off the path, or leave it on.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send


class RootPathMiddleware:
    """Puts the prefix where ASGI wants it: into `root_path`, and before `path`."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (root := self._root_path):
            path: str = scope["path"]
            if path == root:
                path = f"{root}/"
            elif not path.startswith(f"{root}/"):
                path = root + path
            scope = {**scope, "root_path": root, "path": path}
        await self._app(scope, receive, send)


async def root_path(request: Request) -> str:
    """What stands before every path that an answer names; empty: nothing."""
    return str(request.scope.get("root_path", ""))


RootPath = Annotated[str, Depends(root_path)]


def path_within(request: Request) -> str:
    """The path of a request as routes write it."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))
