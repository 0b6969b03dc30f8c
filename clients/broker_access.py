"""How OpenD is entered, decided once at the start: nothing is opened where a piece is missing."""

from pathlib import Path
from typing import TYPE_CHECKING

from clients.futu_keys import checked_rsa_key
from clients.futu_open import Access
from clients.unlocking import UNLOCK_FILE, UNLOCK_PASSWORD_FILE, Unlock
from models.errors import ConfigurationError

if TYPE_CHECKING:
    from bronco.trading import BrokerSettings

_REAL = "REAL"


def access_of(settings: "BrokerSettings", log_home: Path, *, reads_only: bool) -> Access:
    """What the links are given.

    REAL also needs its account by id, a word that it is meant, and what unlocks trading, the last
    one not where it only reads.

    Raises:
        ConfigurationError: names the setting that is missing or does not fit.
    """
    if settings.standby and not settings.account_id:
        problem = "is missing: several OpenDs are taken for one only where the account is named"
        raise ConfigurationError("BRONCO_BROKER_ACCOUNT_ID", problem)
    unlock = None
    if settings.environment.value == _REAL:
        _must_be_meant(settings)
        unlock = None if reads_only else _unlock(settings)
    return Access(
        port=settings.port,
        account_id=settings.account_id,
        environment=settings.environment.value,
        call_timeout=settings.call_timeout_seconds,
        log_home=log_home,
        rsa_key=checked_rsa_key(settings.rsa_key) if settings.rsa_key else None,
        unlock=unlock,
    )


def _must_be_meant(settings: "BrokerSettings") -> None:
    if not settings.account_id:
        problem = "is missing: real money is traded on an account that is named, never on any"
        raise ConfigurationError("BRONCO_BROKER_ACCOUNT_ID", problem)
    word = f"yes-{settings.account_id}"
    if settings.real_trading != word:
        said = f"is {settings.real_trading!r}" if settings.real_trading else "is missing"
        problem = f"{said}: real money is traded on {settings.account_id} only where it is {word}"
        raise ConfigurationError("BRONCO_BROKER_REAL_TRADING", problem)


def _unlock(settings: "BrokerSettings") -> Unlock:
    if settings.unlock_file is None:
        problem = "is missing: `bronco broker new-unlock` makes it of the trading password"
        raise ConfigurationError(UNLOCK_FILE, problem)
    if settings.unlock_password_file is None:
        raise ConfigurationError(UNLOCK_PASSWORD_FILE, f"is missing: what opens {UNLOCK_FILE}")
    return Unlock.read(settings.unlock_file, settings.unlock_password_file)
