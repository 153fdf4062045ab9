"""The dashboard in a real browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from models.recipe import Recipe
from search.trial import Candidate, FailureKind
from tests.browser.conftest import AXE, Site, Window
from tests.service.support.requests import SMALL, Driver, derived

pytestmark = pytest.mark.browser

HOSTILE = "<script>alert('x')</script>"
SCHEMES: Sequence[Literal["light", "dark"]] = ("light", "dark")
SERIOUS = {"serious", "critical"}


def submitted(site: Site, **changes: Any) -> str:
    answer = site.api.post("/v1/searches", json={"dataset": "digits", **SMALL, **changes})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.fixture(scope="module")
def told(site: Site) -> str:
    """A search that has ended, with a failure and finals; its texts would like to run."""
    search_id = submitted(site, name=HOSTILE, budget={"trials": 6})
    driver = Driver(site.sessions, search_id)
    for number, accuracy in enumerate((0.5, 0.9, 0.7)):
        network = Candidate(derived(str(number)), Recipe(epochs=2))
        driver.run(number, accuracy, proposal=network)
    driver.start(3)
    driver.fail(3, FailureKind.ERROR, f"broke at {HOSTILE}")
    driver.retrain(4, 1, 0.85, seed=0)
    driver.retrain(5, 1, 0.87, seed=1)
    driver.finish()
    return search_id


def serious(page: Page) -> list[tuple[str, str]]:
    """What axe says against a page."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        (violation["id"], violation["nodes"][0]["html"])
        for violation in found["violations"]
        if violation["impact"] in SERIOUS
    ]


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core comes with `make generators`")
def test_everybody_can_use_every_page(window: Window, site: Site, told: str) -> None:
    """In dark colours too, where a page has all of them."""
    page, path = window.page, f"/dashboard/searches/{told}"
    own = [path, f"{path}/trials", f"{path}/trials/1"]
    others = [f"/dashboard{end}" for end in ("", "/datasets", "/datasets/digits", "/catalog")]
    report = f"/v1/searches/{told}/report?format=html"
    for address in [*own, *others, "/dashboard/keys", "/dashboard/login", report]:
        page.goto(site.url + address)
        if address == path:
            page.locator("svg").first.wait_for()
        for scheme in SCHEMES if address in (path, report) else SCHEMES[:1]:
            page.emulate_media(color_scheme=scheme)
            assert serious(page) == [], (address, scheme)
        assert page.evaluate("document.querySelectorAll('main script').length") == 0


def test_texts_are_shown_and_do_not_run(window: Window, site: Site, told: str) -> None:
    page = window.page
    page.on("dialog", lambda dialog: window.errors.append(dialog.message))
    page.get_by_role("link", name=HOSTILE).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.get_by_text(f"broke at {HOSTILE}")).to_be_visible()
    page.goto(f"{site.url}/v1/searches/{told}/report?format=html")
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    assert page.evaluate("getComputedStyle(document.querySelector('svg')).display") == "block"


def test_a_trial_has_its_picture(window: Window, site: Site, told: str) -> None:
    page = window.page
    page.goto(f"{site.url}/dashboard/searches/{told}/trials/1")
    picture = page.locator("img.drawing")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('img.drawing').naturalWidth > 0")


def test_a_search_is_followed_as_it_goes(window: Window, site: Site) -> None:
    """From the list, which fills by itself, to its end."""
    page = window.page
    search_id = submitted(site, name="to be followed", budget={"trials": 4})
    page.get_by_role("link", name="to be followed").click()
    expect(page.get_by_role("status").first).to_have_text("queued")
    expect(page.get_by_text("No trial has ended with a score yet")).to_be_visible()

    driver = Driver(site.sessions, search_id)
    driver.run(0, 0.5)
    expect(page.get_by_text("1 of 4 trials")).to_be_visible()
    expect(page.get_by_role("status").first).to_have_text("running")
    expect(page.get_by_role("link", name="trial 0").first).to_be_visible()

    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancel requested")).to_be_visible()
    driver.finish()
    expect(page.get_by_role("status").first).to_have_text("succeeded")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.get_by_role("heading", name="Best val_accuracy so far")).to_be_visible()


def test_every_page_is_reached_by_the_keyboard(window: Window) -> None:
    page = window.page
    for name in ("To the content", "Searches", "Datasets", "Catalog", "Keys and quota"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == name
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Keys and quota")
    expect(page.get_by_text("of the tests")).to_be_visible()


def test_who_logs_out_is_out(window: Window, site: Site) -> None:
    page = window.page
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert page.context.cookies() == []
    page.goto(f"{site.url}/dashboard/catalog")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
