"""The trading password: kept sealed in a file, shown to OpenD, and never twice when it is wrong."""

import hashlib
import threading
from pathlib import Path
from typing import Any

from clients.futu_maps import BROKER, FAILED, SUCCEEDED
from clients.futu_texts import Refusal, refusal_of
from clients.private import read_private, read_secret_line
from clients.sealed import NotOpened, seal, unseal
from models.errors import ConfigurationError, SourceUnavailable

UNLOCK_FILE = "BRONCO_BROKER_UNLOCK_FILE"
UNLOCK_PASSWORD_FILE = "BRONCO_BROKER_UNLOCK_PASSWORD_FILE"
_WHAT = "broker-unlock"


def sealed_unlock(trading_password: str, file_password: str) -> str:
    """The text of an unlock file. It holds the MD5 that OpenD asks for, not the password itself.

    https://openapi.futunn.com/futu-api-doc/en/trade/unlock.html
    """
    digest = hashlib.md5(trading_password.encode(), usedforsecurity=False).hexdigest()
    return seal(digest, file_password, _WHAT)


class Unlock:
    """What unlocks trading. Shared by all links, on whatever OpenD: one "no" is the last word."""

    def __init__(self, md5: str) -> None:
        self._md5 = md5
        self._refused = ""
        self._one_at_a_time = threading.Lock()

    @classmethod
    def read(cls, file: Path, password_file: Path) -> "Unlock":
        """From an unlock file and the file with its password.

        Raises:
            ConfigurationError: one cannot be read or others may read it, or they do not fit.
        """
        text = read_private(file, UNLOCK_FILE)
        password = read_secret_line(password_file, UNLOCK_PASSWORD_FILE)
        try:
            return cls(unseal(text, password, _WHAT))
        except NotOpened:
            problem = f"{file} is no unlock file, or the password in {password_file} does not fit"
            raise ConfigurationError(UNLOCK_FILE, problem) from None

    def show(self, context: Any) -> None:
        """Unlock trading. Runs on a lane's thread.

        Raises:
            ConfigurationError: OpenD said that it is wrong, now or before: it is not asked again,
                since a few tries lock the account.
            SourceUnavailable: no answer, or one about something else.
        """
        with self._one_at_a_time:
            if not self._refused:
                self._ask(context)
            if self._refused:
                raise ConfigurationError(UNLOCK_FILE, f"OpenD says {self._refused}")

    def _ask(self, context: Any) -> None:
        context.notes.begin(None)
        code, text = context.unlock_trade(password_md5=self._md5)
        if code == SUCCEEDED:
            return
        reply = context.notes.replies.get("Trd_UnlockTrade")
        if reply is None or reply.ret_type != FAILED or not _is_no(reply.text):
            raise SourceUnavailable(BROKER, "unlocking trading", str(text))
        self._refused = str(text)


def _is_no(text: str) -> bool:
    # Any text about unlocking is about the password here.
    return refusal_of(text) in (None, Refusal.ANSWER, Refusal.LOCKED)
