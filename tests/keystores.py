"""Keystore files of dev accounts, as commands take them."""

from pathlib import Path

from bronco.devchain import dev_key
from clients.keystore import create_keystore
from clients.private import write_private

_PASSWORD = "a b c"
_CHEAP = 2**4
"""Rounds of scrypt: these keys protect nothing."""


def write_keystore(folder: Path, index: int) -> tuple[str, ...]:
    """Write the key of a dev account there; the arguments of a command that runs there."""
    text = create_keystore(dev_key(index), _PASSWORD, work=_CHEAP)
    write_private(folder / f"{index}.json", text, "keystore file")
    write_private(folder / f"{index}.password", f"{_PASSWORD}\n", "password file")
    return "--keystore", f"{index}.json", "--password-file", f"{index}.password"
