"""web3's subscriptions are trapped in a dozen ways, so nothing of ours uses them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("bronco", "models", "clients", "activities", "workflows", "workers", "api")
# https://web3py.readthedocs.io/en/stable/providers.html#persistent-connection-providers
TRAPPED = re.compile(
    r"\b(WebSocketProvider|LegacyWebSocketProvider|AsyncIPCProvider|PersistentConnectionProvider"
    r"|providers\.persistent|subscription_manager|handle_subscriptions"
    r"|silence_listener_task_exceptions|process_subscriptions)\b"
)


@pytest.mark.parametrize("package", PACKAGES)
def test_package__sources__use_no_subscriptions_of_web3(package: str) -> None:
    sources = sorted((ROOT / package).rglob("*.py"))
    assert sources
    assert [str(path) for path in sources if TRAPPED.search(path.read_text())] == []
