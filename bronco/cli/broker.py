"""broker: what the broker's side needs to begin with."""

from pathlib import Path
from typing import Annotated

import typer

from bronco.cli.signer import asked, file_password

_PANEL = "Run"
_HELP = """Prepare trading with real money. Paper trading (SIMULATE) needs none of this.

bronco broker new-unlock unlock.json --password-file unlock.password    asks for the password

Then, for workers alone, each of these; any one missing and nothing is opened:

export BRONCO_BROKER_ENVIRONMENT=REAL BRONCO_BROKER_ACCOUNT_ID=281756…

export BRONCO_BROKER_REAL_TRADING=yes-281756…

export BRONCO_BROKER_UNLOCK_FILE=unlock.json BRONCO_BROKER_UNLOCK_PASSWORD_FILE=unlock.password
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    broker = typer.Typer(help=_HELP, rich_markup_mode=None, no_args_is_help=True)
    broker.callback()(_group)
    broker.command("new-unlock")(new_unlock)
    app.add_typer(broker, name="broker", rich_help_panel=_PANEL)


def _group() -> None:
    """So that it stays a group with one command in it."""


def new_unlock(
    file: Annotated[Path, typer.Argument(help="Where it goes: a file that must not exist yet.")],
    password_file: Annotated[
        Path | None,
        typer.Option(help="Holds the file's password; made with a random one where absent."),
    ] = None,
) -> None:
    """Seal the broker's trading password in a file that workers open at their start.

    Neither it nor the file's password is ever an argument or a variable.
    """
    from clients.private import write_private
    from clients.unlocking import sealed_unlock

    secret = asked("Trading password of the broker's account", twice=True)
    write_private(file, sealed_unlock(secret, file_password(password_file)), "unlock file")
