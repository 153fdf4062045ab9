"""A real Chromium without a window, and a server that has something to show."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from service.settings import ServiceSettings
from service.sql.api_keys import Scope, add_key, new_key
from service.sql.database import DEFAULT_TENANT, Sessions, connect, migrate
from tests.service.support.serving import serving

ROOT = Path(__file__).parents[2]
AXE = ROOT / ".generators" / "node_modules" / "axe-core" / "axe.min.js"


@dataclass(frozen=True)
class Site:
    """A server that asks for keys, and one of them."""

    url: str
    key: str
    sessions: Sessions
    api: httpx2.Client


@dataclass
class Window:
    """A page, and what went wrong in it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Ended before another file begins: while it lives, no loop of asyncio runs on this thread."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = Path(tmp_path_factory.mktemp("home"))
    settings = ServiceSettings(home=home, auth="keys")
    migrate(settings.database_url)
    sessions, key = connect(settings.database_url), new_key()
    with sessions.begin() as session:
        add_key(session, DEFAULT_TENANT, key, "of the tests", [Scope.ADMIN])
    header = {"Authorization": f"Bearer {key}"}
    with serving(settings) as url, httpx2.Client(base_url=url, headers=header) as api:
        yield Site(url, key, sessions, api)
    sessions.engine.dispose()


@pytest.fixture
def window(chromium: Browser, site: Site) -> Iterator[Window]:
    """Of somebody who has logged in; nothing may go wrong in it until it is closed."""
    with chromium.new_context() as context:
        page = context.new_page()
        found = Window(page)
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on(
            "console",
            lambda said: said.type == "error" and found.errors.append(said.text),
        )
        page.on(
            "request",
            lambda asked: (
                asked.url.startswith((site.url, "data:")) or found.elsewhere.append(asked.url)
            ),
        )
        page.goto(f"{site.url}/dashboard")
        page.get_by_label("API key").fill(site.key)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Searches").wait_for()
        yield found
        assert (found.errors, found.elsewhere) == ([], [])
