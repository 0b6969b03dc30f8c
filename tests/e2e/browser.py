"""A real Chromium at the dashboard: what a page may not do, and what is kept of one that fails."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
KEPT = Path(".bronco") / "browser"
"""Pictures and traces of what failed."""
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}
PATIENCE = 30_000.0
"""Milliseconds; the machine may be busy with other things."""
_SIGNED_IN: dict[str, Any] = {}
"""Cookies of those who came through the form once, by key."""
# A page that is left while it loads something does not get it.
_LEFT = "net::ERR_ABORTED"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser, ended with everything it started."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS), timeout=60_000
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visit(
    browser: Browser, base: str, name: str, *, key: str = "", look: str = "light"
) -> AsyncIterator[Page]:
    """A page, signed in where a key is given; in the end nothing of it may have failed."""
    known = _SIGNED_IN.get(key)
    context = await browser.new_context(base_url=base, storage_state=known, **LOOKS[look])
    context.set_default_timeout(PATIENCE)
    await context.tracing.start(screenshots=True, snapshots=True)
    page = await context.new_page()
    problems = watch(page)
    try:
        if key and known is None:
            await sign_in(page, key)
            _SIGNED_IN[key] = await context.storage_state()
        yield page
        assert not problems, f"{name}: {problems}"
    except BaseException:
        await _keep(page, name)
        raise
    finally:
        await context.close()


def watch(page: Page) -> list[str]:
    """What goes wrong with a page from now on: errors in the console, and requests that fail."""
    problems: list[str] = []

    def said(message: Any) -> None:
        if message.type in ("error", "warning"):
            problems.append(f"console: {message.text}")

    def failed(request: Any) -> None:
        if request.failure != _LEFT:
            problems.append(f"{request.method} {request.url}: {request.failure}")

    def answered(response: Any) -> None:
        if response.status >= 400:
            problems.append(f"{response.status} {response.url}")

    page.on("console", said)
    page.on("pageerror", lambda error: problems.append(f"script: {error}"))
    page.on("requestfailed", failed)
    page.on("response", answered)
    page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
    return problems


async def sign_in(page: Page, key: str) -> None:
    """Through the form, as a person does."""
    await page.goto("/dashboard/sign-in")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/dashboard")


async def faults_of(page: Page) -> Sequence[str]:
    """What axe finds to be serious or critical."""
    found = await Axe().run(page)
    return [
        f"{each['id']}: {[node['target'] for node in each['nodes']][:3]}"
        for each in found.response["violations"]
        if each["impact"] in ("serious", "critical")
    ]


async def _keep(page: Page, name: str) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    file = re.sub(r"\W+", "-", name)
    if not page.is_closed():
        await page.screenshot(path=KEPT / f"{file}.png", full_page=True)
    await page.context.tracing.stop(path=KEPT / f"{file}.zip")
