"""The fence, and the leash around a stand-in for the vendor's context."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from clients.futu_vendor import PLACE_ORDER, Fence, Leash, Notes, NotSent


def test_fence__before_its_deadline__lets_one_request_pass() -> None:
    fence = Fence(PLACE_ORDER, time.monotonic() + 60)
    fence.admit()
    assert fence.sent
    with pytest.raises(NotSent):
        fence.admit()


def test_fence__past_its_deadline__lets_nothing_pass() -> None:
    fence = Fence(PLACE_ORDER, time.monotonic())
    with pytest.raises(NotSent):
        fence.admit()
    assert not fence.sent


def test_fence__sealed_first__never_sends_and_says_so() -> None:
    fence = Fence(PLACE_ORDER, time.monotonic() + 60)
    assert not fence.seal()
    with pytest.raises(NotSent):
        fence.admit()
    assert not fence.sent


def test_fence__sealed_after_the_send__says_it_was_sent() -> None:
    fence = Fence(PLACE_ORDER)
    fence.admit()
    assert fence.seal()


class Bare:
    """What the leash needs of the vendor."""

    ready = True

    def can_send_proto(self, _proto_id: int) -> bool:
        return self.ready

    def _get_sync_query_processor(self, _pack: Any, unpack: Any) -> Any:
        return lambda packet: unpack(packet)

    def get_acc_list(self) -> tuple[int, str]:
        self.asked = getattr(self, "asked", 0) + 1
        return (0, "accounts") if self.asked > 1 else (-1, "not yet")


class Leashed(Leash, Bare):
    pass


def leashed(fence: Fence | None = None) -> Leashed:
    context = Leashed()
    context.notes = Notes()
    context.notes.begin(fence)
    return context


def packet(name: str, ret_type: int = 0) -> Any:
    return SimpleNamespace(
        DESCRIPTOR=SimpleNamespace(full_name=f"{name}.Response"),
        retType=ret_type,
        retMsg="why",
        s2c=SimpleNamespace(orderIDEx="77"),
    )


def test_leash__request_of_the_fence__is_admitted_only_when_it_really_goes() -> None:
    fence = Fence(PLACE_ORDER)
    context = leashed(fence)
    context.ready = False
    assert not context.can_send_proto(PLACE_ORDER)
    assert not fence.sent
    context.ready = True
    assert context.can_send_proto(2001)
    assert not fence.sent
    assert context.can_send_proto(PLACE_ORDER)
    assert fence.sent


def test_leash__a_sealed_fence__stops_the_vendor_at_the_send() -> None:
    fence = Fence(PLACE_ORDER)
    fence.seal()
    with pytest.raises(NotSent):
        leashed(fence).can_send_proto(PLACE_ORDER)


def test_leash__accepted_order__is_not_asked_about_again() -> None:
    context = leashed()
    context._get_sync_query_processor(None, lambda found: found)(packet("Trd_PlaceOrder"))
    assert context.notes.replies["Trd_PlaceOrder"].order_id == "77"
    code, text, data = context._get_sync_query_processor(None, None)(order_id="77")
    assert (code, data) == (-1, None)
    assert "not asked" in text


def test_leash__refused_order__keeps_what_the_vendor_throws_away() -> None:
    context = leashed()
    context._get_sync_query_processor(None, lambda found: found)(packet("Trd_PlaceOrder", -400))
    reply = context.notes.replies["Trd_PlaceOrder"]
    assert (reply.ret_type, reply.text) == (-400, "why")
    assert not context.notes.placed


def test_leash__an_answer_that_never_came__is_counted() -> None:
    context = leashed()
    context.can_send_proto(2201)
    context.can_send_proto(1004)
    assert context.notes.unanswered == 1
    context._get_sync_query_processor(None, lambda found: found)(packet("Trd_GetOrderList"))
    assert context.notes.unanswered == 0


def test_leash__account_list__is_kept_once_it_was_answered() -> None:
    context = leashed()
    assert context.get_acc_list() == (-1, "not yet")
    assert context.get_acc_list() == (0, "accounts")
    assert context.get_acc_list() == (0, "accounts")
    assert context.asked == 2


def test_leash__reconnect__cannot_be_switched_on() -> None:
    context = leashed()
    context._auto_reconnect = True
    assert not context._auto_reconnect
