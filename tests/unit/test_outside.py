"""Where a webhook may lead: never into our own network, however its address is written."""

import pytest

from clients.outside import Outside
from models.errors import InvalidInput

INSIDE = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.0.0.7",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.7",
    "::ffff:93.184.216.34",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:a00:7::1",
    "metadata.google.internal",
    "2130706433",
    "127.1",
]


@pytest.mark.parametrize("host", INSIDE)
def test_allows__an_inner_address__is_refused(host: str) -> None:
    assert not Outside().allows(host)


@pytest.mark.parametrize("host", ["93.184.216.34", "2606:4700::1111"])
def test_allows__a_public_address__may_be_reached(host: str) -> None:
    assert Outside().allows(host)


def test_allows__a_network_that_is_named__may_be_reached_and_no_other() -> None:
    outside = Outside(["10.2.0.0/16", "::1/128"])
    assert outside.allows("10.2.3.4")
    assert outside.allows("::1")
    assert not outside.allows("10.3.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "http://93.184.216.34/hook",
        "ftp://93.184.216.34/hook",
        "file:///etc/passwd",
        "https://",
        "https:///hook",
        "//host/hook",
        "nonsense",
        "https://user:pass@93.184.216.34/",
        "https://93.184.216.34/#part",
        "https://[::1",
    ],
)
async def test_check__no_url_of_a_public_host__is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="url"):
        await Outside().check(url)
