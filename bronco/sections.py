"""What can be set, section by section; every field says its unit. Pure: nothing is read here."""

import ipaddress
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from models.access import Role

_ADDRESS = re.compile(r"^0x[0-9a-fA-F]{40}$")
_LAST_PORT = 65535
_WEB_ADDRESS = r"^(https?://[^\s\"'<>?#]+)?$"
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


def listed(value: Any) -> Any:
    """A list as people write it in an environment: JSON, or values with commas between them."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def from_json(value: Any) -> Any:
    """A value written as JSON."""
    return json.loads(value) if isinstance(value, str) else value


def _address(value: str) -> str:
    if not _ADDRESS.match(value):
        raise ValueError("write an address: 0x and 40 hex digits")
    return value


def _host_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or ":" in host or not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        raise ValueError("write host:port, e.g. 10.0.0.7:11111")
    return value


def _role_of(value: str) -> str:
    claim, _, role = value.rpartition(":")
    if not claim or role not in set(Role):
        raise ValueError("write value:role, with one of viewer, operator, approver or admin")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError("write networks such as 10.2.0.0/16 or fd00::/8") from error


def _sha256(value: str) -> str:
    if not _SHA256.match(value):
        raise ValueError("write the SHA-256 of each key as 64 lower-case hex digits, never the key")
    return value


def _lines(path: Path | None) -> list[str]:
    listed = path.read_text().splitlines() if path else []
    lines = (line.partition("#")[0].strip() for line in listed)
    return [line for line in lines if line]


Address = Annotated[str, AfterValidator(_address)]
HostPort = Annotated[str, AfterValidator(_host_port)]
KeyHash = Annotated[str, AfterValidator(_sha256)]
Network = Annotated[str, AfterValidator(_network)]
RoleOf = Annotated[str, AfterValidator(_role_of)]
Port = Annotated[int, Field(ge=0, le=_LAST_PORT)]
Seconds = Annotated[float, Field(gt=0, le=86400 * 30)]
Bps = Annotated[int, Field(gt=0, lt=10_000)]


class Section(BaseSettings):
    """Base of all sections: frozen, refuses unknown names, reads nothing by itself."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the caller passes: bronco/settings.py is the one reader of the environment."""
        return (init_settings,)


class TemporalSettings(Section):
    """The Temporal server."""

    address: str = Field("127.0.0.1:7233", description="host:port of the frontend")
    namespace: str = Field("default", description="namespace all workflows run in")


class DatabaseSettings(Section):
    """MySQL, MariaDB or SQLite."""

    url: SecretStr = Field(
        description="mysql+pymysql://user:password@host/bronco or sqlite:///file (secret)"
    )
    pool_size: PositiveInt = Field(10, description="connections, and threads that use them")


class RedisSettings(Section):
    """Redis: the lease that keeps trading open, and the shared rate windows."""

    url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="redis://[:password@]host:port/db"
    )


class ApiSettings(Section):
    """The HTTP API."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8080, description="port to listen on; 0 = any free one")
    key_hashes: Annotated[tuple[KeyHash, ...], NoDecode, BeforeValidator(listed)] = Field(
        (), description="SHA-256 of each key that may control, hex, commas between them"
    )
    key_hashes_file: FilePath | None = Field(
        None, description="file with one such hash a line; # starts a remark"
    )
    read_needs_key: bool = Field(
        True, description="whether /orders needs a key too: it shows who traded what"
    )
    follow: bool = Field(
        False, description="whether /follow shows a request, without a key, to who knows its id"
    )
    reads_per_minute: PositiveInt = Field(1200, description="requests that read, of one key")
    writes_per_minute: PositiveInt = Field(240, description="requests that act, of one key")
    control_per_minute: PositiveInt = Field(
        240, description="pauses and resumes of one key, counted apart from all else"
    )
    strangers_per_minute: PositiveInt = Field(
        600, description="requests without a valid key, of one address (of a /64 with IPv6)"
    )
    idempotency_days: PositiveInt = Field(
        7, description="days for which an Idempotency-Key and its answer are kept"
    )

    @field_validator("key_hashes_file")
    @classmethod
    def _only_hashes(cls, value: Path | None) -> Path | None:
        for line in _lines(value):
            _sha256(line)
        return value

    @property
    def accepted_hashes(self) -> tuple[str, ...]:
        """All hashes, from the list and the file."""
        return self.key_hashes + tuple(_lines(self.key_hashes_file))


class DashboardSettings(Section):
    """The dashboard, which the API serves under /dashboard."""

    session_seconds: Seconds = Field(
        43_200.0, description="seconds after which a sign-in ends by itself"
    )
    temporal_ui: str = Field(
        "http://127.0.0.1:8233",
        pattern=_WEB_ADDRESS,
        description="address of the Temporal Web UI that orders link to; empty = no links",
    )
    explorer: str = Field(
        "",
        pattern=_WEB_ADDRESS,
        description="address of a block explorer, e.g. https://etherscan.io, which shows "
        "/tx/... and /address/...; empty = the chain's usual one, and none for a dev chain",
    )
    dev_tools: bool = Field(
        False,
        description="whether it hands in deposits and redeems for the users of a dev chain, and "
        "switches faults of the simulator; on other chains always no",
    )
    simulator: HostPort | None = Field(
        None, description="host:port of the OpenD simulator's control port, for dev_tools"
    )


class HouseSettings(Section):
    """Fills that no request may claim, and what persons do about them."""

    two_persons_above_usd: PositiveInt = Field(
        10_000, description="a position that cost more is decided by two persons, dollars"
    )


class AuditSettings(Section):
    """Signed heads of the audit log, kept outside the database."""

    address: Address | None = Field(
        None, description="address of the audit key, which the signer holds; it has AUDITOR_ROLE"
    )
    directory: Path | None = Field(
        None,
        description="folder of signed heads, on another disk than the database; empty = none are "
        "kept, and an end of the log that was cut off cannot be told",
    )
    every_seconds: Seconds = Field(60.0, description="seconds between two signed heads")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.directory is not None and self.address is None:
            raise ValueError("address: is required where directory is set")
        return self


class WebhookSettings(Section):
    """Webhooks: telling others of changes of orders, signed."""

    key_file: FilePath | None = Field(
        None,
        description="file of one line that all secrets are derived from, readable by us alone, the "
        "same for API and workers; empty = no webhooks",
    )
    allow_http: bool = Field(False, description="also plain http:, for development alone")
    allow_networks: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(listed)] = Field(
        (), description="private networks that may be told too, e.g. 10.2.0.0/16; commas between"
    )
    timeout_seconds: Seconds = Field(10.0, description="seconds an endpoint has to answer")
    retry_seconds: Seconds = Field(5.0, description="seconds to the second try; then ever longer")
    give_up_seconds: Seconds = Field(
        432_000.0, description="a change is tried so long, and an endpoint that fails is disabled"
    )
    keep_seconds: Seconds = Field(
        1_209_600.0, description="changes can be replayed and streams resumed so long"
    )

    @model_validator(mode="after")
    def _kept_long_enough(self) -> Self:
        if self.keep_seconds <= self.give_up_seconds:
            raise ValueError("keep_seconds: must be more than give_up_seconds")
        return self


class OidcSettings(Section):
    """People who come with a bearer token of an OpenID Connect issuer, beside API keys."""

    issuer: str = Field("", description="https: URL as tokens have it in iss; empty = no tokens")
    audience: str = Field("", description="what aud must name; required with an issuer")
    role_claim: str = Field("groups", description="claim with the roles, e.g. realm_access.roles")
    roles: Annotated[tuple[RoleOf, ...], NoDecode, BeforeValidator(listed)] = Field(
        (), description="value:role, e.g. desk:operator,heads:admin; no role, no access"
    )
    leeway_seconds: int = Field(60, ge=0, le=300, description="seconds that clocks may differ")
    allow_http: bool = Field(False, description="also an issuer over http:, for development alone")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.issuer:
            return self
        if not self.issuer.startswith(("https://", "http://") if self.allow_http else "https://"):
            raise ValueError("issuer: write https://...")
        if not self.audience:
            raise ValueError("audience: is required where issuer is set")
        if not self.roles:
            raise ValueError("roles: is required where issuer is set")
        return self

    @property
    def role_of(self) -> Mapping[str, Role]:
        """The role that each value of the claim gives."""
        pairs = (each.rpartition(":") for each in self.roles)
        return {value: Role(role) for value, _, role in pairs}


class ReserveSettings(Section):
    """Signed statements of the reserves, published as files by `bronco reserves publish`."""

    directory: Path | None = Field(
        None, description="folder they are published in; empty = none are, and none is missed"
    )
    max_age_seconds: Seconds = Field(
        7200.0, description="the newest one older than this is alarmed, seconds"
    )


class LogFormat(StrEnum):
    """How a line looks."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """Least severity that is written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogSettings(Section):
    """Logs, to standard error."""

    level: LogLevel = Field(LogLevel.INFO, description="DEBUG, INFO, WARNING or ERROR")
    format: LogFormat = Field(LogFormat.JSON, description="json (one object a line) or console")


class MetricsSettings(Section):
    """Prometheus metrics of a worker; the API has its own under /metrics."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(0, description="port of a worker's /metrics; 0 = none")
    temporal_port: Port = Field(
        0, description="port of the Temporal SDK's own /metrics of a worker; 0 = none"
    )
    every_seconds: Seconds = Field(
        15.0, description="seconds between two measurements of clocks, feeds, gas and windows"
    )


def _pairs(value: SecretStr | None) -> SecretStr | None:
    text = value.get_secret_value() if value else ""
    parts = [part for part in text.split(",") if part.strip()]
    if any("=" not in part for part in parts):
        raise ValueError("write name=value, with commas between them")
    return value


class TracesSettings(Section):
    """Traces of orders, by OpenTelemetry's OTLP over HTTP."""

    url: SecretStr | None = Field(
        None,
        description="where spans are sent, e.g. http://collector:4318/v1/traces; empty = none are",
    )
    headers: Annotated[SecretStr | None, AfterValidator(_pairs)] = Field(
        None, description="name=value,... sent along, e.g. authorization=... (secret)"
    )
    sample_percent: int = Field(
        100, ge=0, le=100, description="of 100 orders how many are traced, chosen by their ids"
    )

    @property
    def header_pairs(self) -> dict[str, str]:
        """The headers in clear: never log them."""
        parts = (self.headers.get_secret_value() if self.headers else "").split(",")
        pairs = (part.partition("=") for part in parts if part.strip())
        return {name.strip().lower(): value.strip() for name, _, value in pairs}
