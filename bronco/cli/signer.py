"""signer: the process that holds the settler's key, and what it needs to begin with."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.output import write, write_json, write_table
from bronco.cli.trading import Json

if TYPE_CHECKING:
    from bronco.signing import SignerSettings
    from clients.wire import SignerStatus

_PANEL = "Run"
_NEW = "file that must not exist yet"
_HELP = """Hold the settler's key and sign for workers, until SIGTERM or Ctrl-C.

It decides alone: only batches for BRONCO_CHAIN_VAULT on BRONCO_CHAIN_ID, inside BRONCO_LIMITS_*.
Workers ask at BRONCO_SIGNER_URL and never see the key.

A first start, with the key on this machine:

bronco signer new-keystore key.json --password-file password    prints the address

export BRONCO_SIGNER_ADDRESS=0x…    for the signer and all workers

export BRONCO_KEY_KEYSTORE_FILE=key.json BRONCO_KEY_KEYSTORE_PASSWORD_FILE=password

bronco signer    and check it with bronco check

Then the vault's admin grants the address SETTLER, and somebody sends it ether for gas.

Keys elsewhere: BRONCO_KEY_BACKEND=VAULT (HashiCorp) or WEB3SIGNER. Over the network:
BRONCO_SIGNER_URL=https://…, a token of bronco signer new-token on both sides, and
BRONCO_KEY_TLS_CERT_FILE. All settings: bronco settings.
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    signer = typer.Typer(help=_HELP, rich_markup_mode=None)
    signer.callback(invoke_without_command=True)(serve)
    signer.command("new-keystore")(new_keystore)
    signer.command("new-token")(new_token)
    signer.command()(status)
    app.add_typer(signer, name="signer", rich_help_panel=_PANEL)


def serve(
    context: typer.Context,
    state: Annotated[
        Path, typer.Option(help="Folder for what was signed in the last hour; keep it.")
    ] = Path(".bronco"),
) -> None:
    """Run the signer."""
    if context.invoked_subcommand is not None:
        return
    from bronco import logs
    from bronco.foreground import until_told
    from bronco.sections import LogSettings, MetricsSettings
    from bronco.settings import load_section
    from bronco.signing import KeySettings, LimitSettings, SignerSettings, TargetSettings

    key = load_section(KeySettings)
    secret = key.dev_key.get_secret_value() if key.dev_key else ""
    logs.configure(load_section(LogSettings), [secret] if secret else [])
    from workers.signer import keep_memory_private
    from workers.signer import serve as sign

    keep_memory_private()
    work = sign(
        load_section(TargetSettings, section="chain"),
        load_section(SignerSettings),
        key,
        load_section(LimitSettings),
        load_section(MetricsSettings),
        state,
    )
    asyncio.run(until_told(work))


def new_keystore(
    file: Annotated[Path, typer.Argument(help=f"Where the encrypted key goes: a {_NEW}.")],
    password_file: Annotated[
        Path | None,
        typer.Option(help="Holds the password; made with a random one where absent."),
    ] = None,
    import_key: Annotated[
        bool, typer.Option("--import", help="Ask for a key instead of making a new one.")
    ] = False,
) -> None:
    """Make an encrypted keystore and print its address.

    Neither key nor password is ever an argument or a variable: what is not in a file is asked for.
    """
    from clients.keys import account_of, new_account
    from clients.keystore import create_keystore
    from clients.private import write_private

    account = account_of(asked("Private key (hex)")) if import_key else new_account()
    password = file_password(password_file)
    write_private(file, create_keystore(account.key.hex(), password), "keystore file")
    write(str(account.address))


def new_token(
    file: Annotated[Path, typer.Argument(help=f"Where the token goes: a {_NEW}.")],
) -> None:
    """Make a bearer token for workers: BRONCO_SIGNER_TOKEN_FILE, on both sides."""
    from clients.private import new_secret, write_private

    write_private(file, new_secret() + "\n", "token file")


def status(as_json: Json = False) -> None:
    """Ask the signer of BRONCO_SIGNER_URL who it is, and how much of the hour is used.

    USDT and shares are in units: 10^6 and 10^18 to one.
    """
    from bronco.settings import load_section
    from bronco.signing import SignerSettings

    found = asyncio.run(_status(load_section(SignerSettings)))
    if as_json:
        write_json(found)
        return
    write(f"{found.address} signs for vault {found.vault} on chain {found.chain_id}")
    write(f"since its start: {found.signed} signed, {found.refused} refused")
    rows = [(what, used, found.allowed[what]) for what, used in found.used.items()]
    write_table("In the last hour", ("what", "used", "allowed"), rows)


async def _status(where: "SignerSettings") -> "SignerStatus":
    from workers.clients import settler

    signer = settler(where)
    try:
        return await signer.status()
    finally:
        await signer.close()


def file_password(file: Path | None) -> str:
    """The password in a file, which is made where absent; without a file it is asked for."""
    from clients.private import new_secret, read_secret_line, write_private

    if file is None:
        return asked("Password", twice=True)
    if not file.exists():
        write_private(file, new_secret() + "\n", "password file")
    return read_secret_line(file, "password file")


def asked(what: str, *, twice: bool = False) -> str:
    """A secret, typed without being shown."""
    return str(typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))
