"""Pictures of the dashboard for docs: `python -m tests.e2e.screenshots` takes them anew."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.async_api import Browser

from bronco.stack import stack
from models.control import HoldCommand
from models.order import OrderStatus, Stage
from models.requests import Side
from tests.compose import ROOT
from tests.e2e.browser import chromium, visit
from tests.e2e.desk import TWO_SHARES, Desk, opened, options

_IMAGES = ROOT / "docs" / "images"
_SHOTS = (
    ("overview", "/dashboard", "light"),
    ("orders", "/dashboard/orders", "light"),
    ("order", "/dashboard/orders/1", "dark"),
    ("control", "/dashboard/control", "phone"),
)


async def main() -> None:
    """A desk with something on it, and a picture of each page in the list."""
    _IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bronco-pictures-") as home:
        chosen = replace(options(Path(home)), server_database=False, real_redis=False)
        async with stack(chosen) as running, opened(running) as desk, chromium() as browser:
            await _furnish(desk)
            for name, path, look in _SHOTS:
                await _take(browser, desk, name, path, look)


async def _furnish(desk: Desk) -> None:
    """Orders in several stages, and a symbol that is held on one side."""
    bought = await desk.deposits(4, TWO_SHARES)
    await desk.all_end(bought, OrderStatus.EXECUTED)
    sold = await desk.redeem(1)
    await desk.end(sold, OrderStatus.EXECUTED)
    held = HoldCommand(reason="float is low", who="ada", side=Side.SELL, symbol="AAPL")
    await desk.play.switch.pause(held)
    await desk.control.fault("hold_fills")
    await desk.at(await desk.deposit(TWO_SHARES), Stage.PLACED)
    await desk.at(await desk.redeem(1), Stage.HELD)


async def _take(browser: Browser, desk: Desk, name: str, path: str, look: str) -> None:
    stack_ = desk.stack
    async with visit(browser, stack_.api_url, name, key=stack_.api_key, look=look) as page:
        await page.goto(path)
        await page.locator("#trading .mark").wait_for()
        await page.screenshot(path=_IMAGES / f"dashboard-{name}.png")


if __name__ == "__main__":
    asyncio.run(main())
