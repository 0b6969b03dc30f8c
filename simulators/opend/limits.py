"""OpenD's documented request limits, as sliding windows an account and call."""

from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from simulators.opend.errors import Rejected


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` in any `seconds`, with `gap` seconds between two."""

    calls: int
    seconds: float = 30.0
    gap: float = 0.0


LIMITS = {
    # https://openapi.futunn.com/futu-api-doc/en/trade/place-order.html
    "PlaceOrder": Limit(15, gap=0.02),
    # https://openapi.futunn.com/futu-api-doc/en/trade/modify-order.html
    "ModifyOrder": Limit(20, gap=0.04),
    # The next three count only with refresh_cache.
    # https://openapi.futunn.com/futu-api-doc/en/trade/get-order-list.html
    "GetOrderList": Limit(10),
    # https://openapi.futunn.com/futu-api-doc/en/trade/get-position-list.html
    "GetPositionList": Limit(10),
    # https://openapi.futunn.com/futu-api-doc/en/trade/get-funds.html
    "GetFunds": Limit(10),
    # https://openapi.futunn.com/futu-api-doc/en/trade/get-history-order-list.html
    "GetHistoryOrderList": Limit(10),
    # https://openapi.futunn.com/futu-api-doc/en/trade/get-max-trd-qtys.html
    "GetMaxTrdQtys": Limit(10),
    # https://openapi.futunn.com/futu-api-doc/en/trade/unlock.html
    "UnlockTrade": Limit(10),
    # https://openapi.futunn.com/futu-api-doc/en/quote/get-market-snapshot.html
    "GetSecuritySnapshot": Limit(60),
}
# https://openapi.futunn.com/futu-api-doc/en/quote/get-market-snapshot.html
SNAPSHOT_CODES = 400
# https://github.com/FutunnOpen/py-futu-api/issues/33
CONNECTIONS = 128


class RateLimiter:
    """Refuses what comes too often. A refused call does not count towards the window."""

    def __init__(self, enabled: bool, scale: float, now: Callable[[], float]) -> None:
        self.enabled = enabled
        self._scale, self._now = scale, now
        self._calls: defaultdict[Hashable, deque[float]] = defaultdict(deque)

    def check(self, protocol: str, account: int = 0) -> None:
        """Counts one call.

        Raises:
            Rejected: the window is full, or the last call was too short ago.
        """
        limit = LIMITS.get(protocol)
        if limit is None or not self.enabled:
            return
        now, calls = self._now(), self._calls[protocol, account]
        while calls and now - calls[0] >= limit.seconds * self._scale:
            calls.popleft()
        if len(calls) >= limit.calls:
            raise Rejected(
                f"High frequency: {protocol} is limited to {limit.calls} requests "
                f"per {limit.seconds:g} seconds."
            )
        if calls and now - calls[-1] < limit.gap * self._scale:
            raise Rejected(
                f"High frequency: {protocol} needs {limit.gap:g} seconds between two requests."
            )
        calls.append(now)
