"""The dashboard in a real Chromium, on the embedded stack with real orders."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from eth_account import Account
from playwright.async_api import Browser, Page, expect

from bronco.deployment import DevChainPlan
from bronco.devchain import ADMIN, dev_key
from clients.approvals import signable
from clients.vault import VAULT
from models.access import Role
from models.order import OrderStatus, Stage
from tests.approving import APPROVERS, ascending
from tests.e2e.browser import PATIENCE, chromium, faults_of, sign_in, visit
from tests.e2e.desk import DOLLAR, TWO_SHARES, Desk
from tests.integration.control.keys import new_api_key
from tests.waiting import eventually

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script> & \"quotes'"

expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class House:
    """The desk, the browser, and a key for each role."""

    desk: Desk
    browser: Browser
    keys: dict[Role, str]
    order: int

    @property
    def url(self) -> str:
        return self.desk.stack.api_url


@pytest_asyncio.fixture(scope="module")
async def house(embedded_desk: Desk) -> AsyncIterator[House]:
    """An order that was bought, and somebody of each role."""
    desk = embedded_desk
    made = await desk.deposit(TWO_SHARES)
    row = await desk.end(made, OrderStatus.EXECUTED)
    keys = {role: (await new_api_key(desk.store, role))["X-API-Key"] for role in Role}
    async with chromium() as browser:
        yield House(desk, browser, keys, row.internal_id or 0)


def pages_of(house: House) -> list[str]:
    return [
        "/dashboard/sign-in",
        "/dashboard",
        "/dashboard/orders",
        f"/dashboard/orders/{house.order}",
        "/dashboard/control",
        "/dashboard/approvals",
        "/dashboard/audit",
        "/dashboard/audit/verify",
        "/dashboard/dev",
    ]


@pytest.mark.parametrize(
    "look", ["light", *(pytest.param(look, marks=pytest.mark.soak) for look in ("dark", "phone"))]
)
async def test_pages__each_of_them__no_error_and_nothing_that_axe_finds(
    house: House, look: str
) -> None:
    async with visit(house.browser, house.url, look, key=house.keys[Role.ADMIN], look=look) as page:
        for path in pages_of(house):
            await page.goto(path)
            await expect(page.locator("h1")).to_be_visible()
            assert not await faults_of(page), path
            too_wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not await page.evaluate(too_wide), f"{path} scrolls sideways"


async def test_sign_in__a_key__becomes_a_session_that_sign_out_ends(house: House) -> None:
    key = house.keys[Role.VIEWER]
    async with visit(house.browser, house.url, "sign-in") as page:
        await sign_in(page, key)
        (cookie,) = [c for c in await page.context.cookies() if c["name"] == "bronco_session"]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert key not in cookie["value"]
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url("**/sign-in")
        assert "bronco_session" not in str(await page.context.cookies())
    async with httpx.AsyncClient(base_url=house.url) as http:
        http.cookies.set("bronco_session", cookie["value"])
        again = await http.get("/dashboard/orders")
    assert (again.status_code, "<h1>Sign in" in again.text) == (401, True)
    told = [entry.action for entry in await house.desk.store.audit.latest(20)]
    assert {"dashboard.signed_in", "dashboard.signed_out"} <= set(told)


async def test_sign_in__no_key_of_ours__is_told_and_opens_nothing(house: House) -> None:
    page = await house.browser.new_page(base_url=house.url)
    await page.goto("/dashboard/orders")
    await page.get_by_label("API key").fill("guess")
    await page.get_by_label("API key").press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("not a key that opens anything")
    await page.get_by_label("API key").fill(house.keys[Role.VIEWER])
    await page.get_by_label("API key").press("Enter")
    await expect(page.get_by_role("heading", name="Orders")).to_be_visible()
    assert page.url.endswith("/dashboard/orders"), "it goes on to what was asked for"
    await page.close()


async def test_pause__by_keyboard_alone__holds_trading_and_resumes(house: House) -> None:
    async with visit(house.browser, house.url, "keyboard", key=house.keys[Role.OPERATOR]) as page:
        await page.goto("/dashboard/control")
        await tab_to(page, "Pause all trading…")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog", name="Pause all trading?")).to_be_visible()
        await page.keyboard.type(EVIL)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="no placement begins")).to_be_visible()
        state = await house.desk.play.switch.state()
        (hold,) = state.holds
        assert (state.paused, hold.reason) == (True, EVIL)
        assert hold.who.startswith("operator-")
        assert await page.locator("main img, main script").count() == 0
        await expect(page.locator(".holds")).to_contain_text(EVIL)

        made = await house.desk.deposit(TWO_SHARES)
        (held,) = await eventually(lambda: house.desk.rows([made]), timeout=60, interval=0.2)
        await page.goto(f"/dashboard/orders/{held.internal_id}")
        await expect(page.locator(".lead")).to_contain_text(EVIL)

        await page.goto("/dashboard/control")
        await tab_to(page, "Resume trading…")
        await page.keyboard.press("Space")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Resumed")).to_be_visible()
        assert not (await house.desk.play.switch.state()).paused
        await house.desk.end(made, OrderStatus.EXECUTED)
    async with visit(house.browser, house.url, "reason", key=house.keys[Role.VIEWER]) as page:
        await page.goto("/dashboard/control")
        await expect(page.get_by_role("table")).to_contain_text(EVIL)


async def test_order__executed_while_it_is_looked_at__is_seen_without_reload(house: House) -> None:
    desk = house.desk
    async with visit(house.browser, house.url, "live", key=house.keys[Role.VIEWER]) as page:
        await page.goto("/dashboard/orders")
        await page.evaluate("window.stays = true")
        await desk.control.fault("hold_fills")
        made = await desk.deposit(TWO_SHARES)
        (row,) = await eventually(lambda: desk.rows([made]), timeout=60, interval=0.2)
        line = page.get_by_role("row").filter(
            has=page.get_by_role("rowheader", name=f"Order {row.internal_id}", exact=True)
        )
        await expect(line).to_contain_text("At the broker")
        await desk.control.clear()
        await desk.control.fault("release_fills")
        await desk.end(made, OrderStatus.EXECUTED)
        await expect(line).to_contain_text("Settled")
        assert await page.evaluate("window.stays"), "the page was loaded anew"


async def test_viewer__sees_everything_and_is_shown_nothing_to_press(house: House) -> None:
    async with visit(house.browser, house.url, "viewer", key=house.keys[Role.VIEWER]) as page:
        await page.goto("/dashboard/control")
        await expect(page.get_by_role("heading", name="Trading is open")).to_be_visible()
        assert await page.get_by_text("Pause").count() == 0
        cookies = {c["name"]: c["value"] for c in await page.context.cookies()}
        csrf = await page.locator("input[name=csrf]").first.get_attribute("value")
    async with httpx.AsyncClient(base_url=house.url, cookies=cookies) as http:
        refused = await http.post("/dashboard/control/pause", data={"csrf": csrf or ""})
    assert refused.status_code == 403
    assert not (await house.desk.play.switch.state()).paused


async def test_form__without_its_token_or_from_elsewhere__does_nothing(house: House) -> None:
    async with visit(house.browser, house.url, "csrf", key=house.keys[Role.OPERATOR]) as page:
        cookies = {c["name"]: c["value"] for c in await page.context.cookies()}
        await page.goto("/dashboard/control")
        csrf = await page.locator("input[name=csrf]").first.get_attribute("value") or ""
    async with httpx.AsyncClient(base_url=house.url, cookies=cookies) as http:
        for form, headers in (
            ({"reason": "none"}, {}),
            ({"csrf": "0" * 64}, {}),
            ({"csrf": csrf}, {"Origin": "https://elsewhere.example"}),
            ({"csrf": csrf}, {"Sec-Fetch-Site": "cross-site"}),
        ):
            answer = await http.post("/dashboard/control/pause", data=form, headers=headers)
            assert answer.status_code == 403, (form, headers)
    assert not (await house.desk.play.switch.state()).paused


async def test_receipt__of_a_settled_order__is_downloaded(house: House) -> None:
    async def signed() -> bool:
        async with httpx.AsyncClient(base_url=house.url) as http:
            headers = {"X-API-Key": house.keys[Role.VIEWER]}
            answer = await http.get(f"/orders/{house.order}/receipt", headers=headers)
        return answer.status_code == 200

    await eventually(signed, timeout=90, interval=0.5)
    async with visit(house.browser, house.url, "receipt", key=house.keys[Role.VIEWER]) as page:
        await page.goto(f"/dashboard/orders/{house.order}")
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="Receipt").click()
        download = await coming.value
        assert download.suggested_filename.startswith("receipt-31337-")


async def test_audit__verified_in_the_browser__says_whole(house: House) -> None:
    async with visit(house.browser, house.url, "audit", key=house.keys[Role.VIEWER]) as page:
        await page.goto("/dashboard/audit")
        await expect(page.get_by_role("table")).to_contain_text("order.admitted")
        await page.get_by_role("button", name="Verify now").click()
        await expect(page.locator("#verdict")).to_contain_text("Whole")
        assert page.url.endswith("/dashboard/audit"), "the page stays"


async def test_dev_chain__deposit_with_a_lost_answer__is_handed_in_and_executed(
    house: House,
) -> None:
    desk = house.desk
    key = house.keys[Role.OPERATOR]
    async with visit(house.browser, house.url, "dev", key=key) as page:
        await page.goto("/dashboard/dev")
        await page.get_by_role("button", name=re.compile("Next one.*answer_lost$")).click()
        await expect(page.get_by_role("status").first).to_contain_text("answer lost")
        await page.get_by_label("Amount").fill("400")
        await page.get_by_role("button", name="Hand it in").click()
        await expect(page.get_by_role("status").first).to_contain_text("is in the vault")
        said = await page.get_by_role("status").first.inner_text()
        n = int(said.split("Request ")[1].split()[0])
        chain = desk.stack.chain

        async def executed() -> bool:
            rows = await desk.store.orders.ended_since(
                chain.chain_id, chain.vault, datetime(2000, 1, 1, tzinfo=UTC)
            )
            return any(r.request_number == n and r.status is OrderStatus.EXECUTED for r in rows)

        await eventually(executed, timeout=60, interval=0.3)
        assert (await desk.control.fault_hits())["answer_lost"] == 1
        await page.get_by_role("button", name="Clear all faults").click()
        await expect(page.get_by_role("status").first).to_contain_text("cleared")


async def test_approval__signed_by_a_wallet_in_the_browser__gives_the_money_back(
    house: House,
) -> None:
    desk = house.desk
    plan, admin = DevChainPlan(), desk.staff(ADMIN)
    caps = (plan.mint_cap, plan.pay_cap, plan.cap_window_seconds)
    await admin.send(VAULT, admin.vault, "configureCaps", caps, 100 * DOLLAR)
    await admin.send(VAULT, admin.vault, "configureApprovers", list(ascending()), 2)
    before = await desk.alice.balance(desk.alice.usdt)
    made = await desk.deposit(150 * DOLLAR)
    await desk.at(made, Stage.AWAITING_APPROVAL)
    key = house.keys[Role.APPROVER]
    async with visit(house.browser, house.url, "approvals", key=key) as page:
        await page.expose_function("signAs", sign_as)
        await page.add_init_script(WALLET)
        await page.goto("/dashboard/approvals")
        assert not await faults_of(page)
        for approver, said in ((APPROVERS[0], "1 more to go"), (APPROVERS[1], "that is enough")):
            await page.evaluate("index => localStorage.approver = index", approver)
            await page.get_by_role("button", name="Sign with my wallet").click()
            await expect(page.get_by_role("status").first).to_contain_text(said)
    row = await desk.end(made, OrderStatus.FAILED)
    assert row.stage is Stage.REFUNDED
    assert await desk.alice.balance(desk.alice.usdt) == before
    signed = [e for e in await desk.store.audit.of_request(made.request_id) if "signed" in e.action]
    assert len(signed) == 2
    await admin.send(VAULT, admin.vault, "configureCaps", caps, plan.return_limit)


async def test_act__cancel_from_the_order_page__gives_the_money_back(
    house: House,
) -> None:
    desk = house.desk
    await desk.control.fault("hold_fills")
    before = await desk.alice.balance(desk.alice.usdt)
    made = await desk.deposit(TWO_SHARES)
    row = await desk.at(made, Stage.PLACED)
    key = house.keys[Role.OPERATOR]
    async with visit(house.browser, house.url, "acts", key=key) as page:
        await page.goto(f"/dashboard/orders/{row.internal_id}")
        assert not await faults_of(page)
        await page.get_by_label("Reason").fill(EVIL)
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("status").first).to_contain_text("cancelled")
        ended = await desk.end(made, OrderStatus.FAILED)
        await expect(page.locator(".lead")).to_contain_text("How it ended")
        assert await page.locator("main script, main img").count() == 0
    assert ended.filled_quantity == 0
    assert await desk.alice.balance(desk.alice.usdt) == before
    await desk.control.clear()


async def sign_as(index: str, typed_data: str) -> str:
    """What a wallet does with typed data, which is all that it knows."""
    signed = Account.sign_message(signable(json.loads(typed_data)), dev_key(int(index)))
    return "0x" + bytes(signed.signature).hex()


WALLET = """
window.ethereum = {
  request: async ({ method, params }) => {
    if (method === "eth_chainId") return "0x7a69";
    if (method === "eth_requestAccounts") return ["0x0000000000000000000000000000000000000001"];
    if (method === "eth_signTypedData_v4") return signAs(localStorage.approver, params[1]);
    throw new Error(`no ${method} here`);
  },
};
"""


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this name is reached."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        text = await page.evaluate("document.activeElement.textContent.trim()")
        if text == name:
            return
    raise AssertionError(f"nobody reaches {name!r} by keyboard")
