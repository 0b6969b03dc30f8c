"""Settings, read once from the environment and an optional .env file.

A setting is BRONCO_<SECTION>_<FIELD>, e.g. BRONCO_TEMPORAL_ADDRESS. The environment wins over .env.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from bronco.sections import (
    ApiSettings,
    AuditSettings,
    DashboardSettings,
    DatabaseSettings,
    HouseSettings,
    LogSettings,
    MetricsSettings,
    OidcSettings,
    RedisSettings,
    ReserveSettings,
    Section,
    TemporalSettings,
    TracesSettings,
    WebhookSettings,
)
from bronco.signing import KeySettings, LimitSettings, SignerSettings
from bronco.trading import BrokerSettings, ChainSettings, OrderSettings, TradingEnvironment
from models.errors import ConfigurationError

PREFIX = "BRONCO_"
DOTENV = Path(".env")
_S = TypeVar("_S", bound=Section)


class Settings(BaseModel):
    """Everything that can be set. Build it with `load`, or from sections in a test."""

    model_config = ConfigDict(frozen=True)

    temporal: TemporalSettings
    chain: ChainSettings
    signer: SignerSettings
    key: KeySettings
    limits: LimitSettings
    broker: BrokerSettings
    database: DatabaseSettings
    redis: RedisSettings
    api: ApiSettings
    dashboard: DashboardSettings
    orders: OrderSettings
    house: HouseSettings
    audit: AuditSettings
    oidc: OidcSettings
    webhook: WebhookSettings
    reserves: ReserveSettings
    log: LogSettings
    metrics: MetricsSettings
    traces: TracesSettings

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read every section; without `environ`, from the process environment over ./.env.

        Raises:
            ConfigurationError: names the setting that is missing, wrong or unknown.
        """
        values = environment() if environ is None else environ
        _refuse_unknown(values)
        sections = {name: load_section(kind, values) for name, kind in section_types()}
        settings = cls(**sections)
        settings._refuse_play_money()
        return settings

    def _refuse_play_money(self) -> None:
        """Tokens of a dev chain cost nothing: they must not buy shares for real money."""
        if self.broker.environment is TradingEnvironment.REAL and self.chain.is_dev:
            problem = f"REAL does not go together with the dev chain {self.chain.id}"
            raise ConfigurationError(variable("broker", "environment"), problem)

    def secrets(self) -> list[str]:
        """Every secret value in clear, for the redaction of logs."""
        sections = (getattr(self, name) for name, _ in section_types())
        values = (getattr(part, field) for part in sections for field in type(part).model_fields)
        return [secret for value in values for secret in _revealed(value)]

    def environment(self) -> dict[str, str]:
        """The same settings as variables, secrets in clear: to hand to a process we start."""
        found: dict[str, str] = {}
        for name, _ in section_types():
            section: Section = getattr(self, name)
            for field in type(section).model_fields:
                value = getattr(section, field)
                if value is not None:
                    found[variable(name, field)] = _written(value)
        return found


def environment(dotenv: Path = DOTENV) -> dict[str, str]:
    """What is set: the process environment over the .env file."""
    listed = dotenv_values(dotenv) if dotenv.is_file() else {}
    merged = {**listed, **os.environ}
    return {name: value for name, value in merged.items() if value is not None}


def load_section(
    kind: type[_S], environ: Mapping[str, str] | None = None, section: str | None = None
) -> _S:
    """Read one section alone: `bronco pause` must work where no vault is configured.

    section: its name, for a kind that reads only a part of one.

    Raises:
        ConfigurationError: names the setting that is missing or wrong.
    """
    section = section or _section_name(kind)
    values = environment() if environ is None else environ
    try:
        source = EnvSettingsSource(kind, env_prefix=f"{PREFIX}{section}_", env_ignore_empty=True)
        source.env_vars = {name.lower(): value for name, value in values.items() if value}
        return kind(**source())
    except ValidationError as error:
        raise _named(section, kind, error) from None


def section_types() -> Iterator[tuple[str, type[Section]]]:
    """Name and class of each section."""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield name, kind


def variable(section: str, field: str) -> str:
    """Name of a setting in the environment."""
    return f"{PREFIX}{section}_{field}".upper()


def example() -> str:
    """The text of .env.example: every setting with its meaning and default."""
    lines = ["# Every setting of Bronco. Copy to .env; lines without # must be filled in."]
    for section, kind in section_types():
        lines += ["", f"# {(kind.__doc__ or '').splitlines()[0]}"]
        for name, field in kind.model_fields.items():
            lines += [f"# {field.description}", _example_line(variable(section, name), field)]
    return "\n".join(lines) + "\n"


def _example_line(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return f"{name}="
    value = "" if field.default in (None, ()) else _written(field.default)
    return f"#{name}={value}"


def _written(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        if value and isinstance(value[0], BaseModel):
            return "[" + ",".join(item.model_dump_json() for item in value) + "]"
        return ",".join(_written(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _section_name(kind: type[Section]) -> str:
    return next(name for name, known in section_types() if known is kind)


def _refuse_unknown(values: Mapping[str, str]) -> None:
    known = {variable(name, field) for name, kind in section_types() for field in kind.model_fields}
    for name in sorted(values):
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f": did you mean {close[0]}?" if close else ""
            raise ConfigurationError(name, f"no such setting{hint}")


def _named(section: str, kind: type[Section], error: ValidationError) -> ConfigurationError:
    """The first problem, under the name an operator would set; never with the value."""
    first = error.errors(include_input=False, include_url=False)[0]
    problem = str(first["msg"]).removeprefix("Value error, ")
    if first["loc"]:
        field, inner = str(first["loc"][0]), ".".join(str(part) for part in first["loc"][1:])
    else:
        field, _, problem = problem.partition(": ")
        inner = ""
    if first["type"] == "missing" and not inner:
        problem = "is missing"
    description = kind.model_fields[field].description or ""
    where = f"{inner}: " if inner else ""
    return ConfigurationError(variable(section, field), f"{where}{problem} ({description})")


def _revealed(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, tuple):
        for item in value:
            yield from _revealed(item)
