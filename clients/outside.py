"""Which addresses outside may be reached on somebody else's word: never our own network's.

Checked when an address is given, and again on the very addresses that a connection goes to: a name
may mean another one a moment later.
"""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from models.errors import InvalidInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# An IPv4 address is written in these, too: RFC 6052, RFC 3056, RFC 4380.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_REMEDY = "give a URL https://host/path of a public host"


class Refused(OSError):
    """An address that may not be reached."""


class Outside:
    """What may be reached. networks: private ones that may, too. plain: whether http: may."""

    def __init__(self, networks: Sequence[str] = (), *, plain: bool = False) -> None:
        self._networks = tuple(ipaddress.ip_network(each) for each in networks)
        self._schemes = {"https", "http"} if plain else {"https"}

    async def check(self, url: str) -> str:
        """The URL as it is kept, if all its host's addresses may be reached now.

        Raises:
            InvalidInput: it is no such URL, or leads where it may not.
        """
        parsed = self._parsed(url)
        host, port = parsed.raw_host or "", parsed.port or 443
        try:
            found = await PublicResolver(self).resolve(host, port, socket.AF_UNSPEC)
        except (OSError, UnicodeError) as error:  # Unicode: a label that IDNA does not take
            raise InvalidInput("url", host, f"{_REMEDY}: {error}") from error
        if not found:
            raise InvalidInput("url", host, f"{_REMEDY}: it has no address")
        return str(parsed)

    def _parsed(self, url: str) -> URL:
        try:
            parsed = URL(url)
        except ValueError as error:
            raise InvalidInput("url", url[:80], _REMEDY) from error
        if parsed.scheme not in self._schemes or not parsed.raw_host:
            raise InvalidInput("url", url[:80], _REMEDY)
        if parsed.user or parsed.password or parsed.fragment:
            remedy = "leave user, password and # out: deliveries are signed"
            raise InvalidInput("url", parsed.raw_host, remedy)
        return parsed

    def allows(self, host: str) -> bool:
        """Whether this address, in digits, may be reached."""
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        if any(address in network for network in self._networks):
            return True
        # Any other spelling of an IPv4 address is as good as the address.
        return all(_public(each) for each in (address, *_inner(address)))


class PublicResolver(AbstractResolver):
    """Resolves names to addresses that may be reached; one that may not spoils them all."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._names = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses. Raises OSError: it has none, or one that may not be reached."""
        found = await self._names.resolve(host, port, family)
        for each in found:
            if not self._outside.allows(each["host"]):
                raise Refused(f"{each['host']} is not a public address")
        return found

    async def close(self) -> None:
        """Nothing is held."""
        await self._names.close()


def _public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: Address) -> list[Address]:
    """IPv4 addresses that are written in an IPv6 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Any] = [address.ipv4_mapped, address.sixtofour]
    found += address.teredo or ()
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]
