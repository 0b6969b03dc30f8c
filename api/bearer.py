"""Who asks with a bearer token of the OpenID Connect issuer, and in which role."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clients.oidc import Expected, Issuer
from models.access import Caller, Role
from models.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from bronco.sections import OidcSettings

SCHEME = "Bearer "
_NAME_CHARACTERS = 60
_APART = frozenset({Role.OPERATOR, Role.APPROVER})


class Bearers:
    """Knows people by what their token says. issuer None: no token opens anything.

    roles: a value of the claim, and the role it gives.
    """

    def __init__(
        self, issuer: Issuer | None, claim: str = "", roles: Mapping[str, Role] | None = None
    ) -> None:
        self._issuer = issuer
        self._path = claim.split(".")
        self._roles = dict(roles or {})

    @classmethod
    def of(cls, settings: "OidcSettings") -> "Bearers":
        """As the settings say."""
        if not settings.issuer:
            return cls(None)
        expected = Expected(settings.issuer, settings.audience, settings.leeway_seconds)
        return cls(Issuer(expected), settings.role_claim, settings.role_of)

    async def caller(self, token: str) -> Caller:
        """Whose token this is.

        Raises:
            Unauthorized: it is not valid, or tokens open nothing here.
            Forbidden: it gives no role, or two that one person may not have.
            SourceUnavailable: whether it is valid cannot be told now.
        """
        if self._issuer is None:
            raise Unauthorized(
                "bearer tokens open nothing here: set BRONCO_OIDC_ISSUER, or use a key"
            )
        claims = await self._issuer.claims(token)
        name = name_of(claims)
        return Caller(name, self._role(name, claims))

    def _role(self, name: str, claims: Mapping[str, Any]) -> Role:
        given = {self._roles[value] for value in self._values(claims) if value in self._roles}
        if Role.ADMIN in given:
            return Role.ADMIN
        if given >= _APART:
            raise Forbidden(name, "operator and approver are two persons: give one of the roles")
        if not given:
            raise Forbidden(name, f"no role: {'.'.join(self._path)} names none that is known")
        return next(iter(given & _APART), Role.VIEWER)

    def _values(self, claims: Mapping[str, Any]) -> Iterator[str]:
        found: Any = claims
        for part in self._path:
            found = found.get(part) if isinstance(found, Mapping) else None
        listed = found if isinstance(found, list) else [found]
        return (value for value in listed if isinstance(value, str))


def name_of(claims: Mapping[str, Any]) -> str:
    """Who did it, for the audit log: the address the issuer has verified, or the subject.

    With a prefix that no key's name can have, so that nobody passes for one; never cut, since two
    might become one.
    """
    email = claims.get("email")
    verified = claims.get("email_verified") is True and isinstance(email, str)
    said = email if verified and email else claims["sub"]
    name = f"oidc:{said}"
    if len(name) <= _NAME_CHARACTERS and name.isascii() and name.isprintable():
        return name
    return f"oidc:sha256:{hashlib.sha256(str(said).encode()).hexdigest()[:40]}"
