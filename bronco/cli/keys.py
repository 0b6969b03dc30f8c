"""Keys of people at this machine: encrypted keystores, opened for one command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

Keystore = Annotated[
    Path, typer.Option(help="Encrypted keystore file to sign with; see bronco signer new-keystore.")
]
PasswordFile = Annotated[Path, typer.Option(help="File with the keystore's password.")]
Yes = Annotated[bool, typer.Option("--yes", help="Sign without asking.")]


def opened(keystore: Path, password_file: Path) -> "LocalAccount":
    """The account, refused where it is the settler's: that key is for the signer alone.

    Raises:
        ConfigurationError: a file cannot be read or others may read it, or they do not fit.
        InvalidInput: it is the key that settles.
    """
    from bronco.settings import load_section
    from bronco.signing import SignerSettings
    from clients.keystore import keystore_account
    from models.errors import InvalidInput

    account = keystore_account(keystore, password_file)
    settler = load_section(SignerSettings).address or ""
    if str(account.address).lower() == settler.lower():
        remedy = "it is BRONCO_SIGNER_ADDRESS: who settles must not vouch for what it settles"
        raise InvalidInput("--keystore", str(account.address), remedy)
    return account
