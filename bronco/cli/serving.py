"""worker, api, opend: the processes."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from api.dashboard.dev import DevTools
    from bronco.settings import Settings

_PANEL = "Run"
_PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=_PANEL)(worker)
    app.command(rich_help_panel=_PANEL)(api)
    app.command(rich_help_panel=_PANEL, context_settings=_PASSED_ON)(opend)


def worker(
    role: Annotated[
        list[str] | None,
        typer.Option(help="all, orders, broker or watch; may be given more than once."),
    ] = None,
    state: Annotated[
        Path, typer.Option(help="Folder for what the broker's library writes.")
    ] = Path(".bronco"),
) -> None:
    """Run workflows and activities until SIGTERM or Ctrl-C."""
    from workers.build import Role
    from workers.main import run

    known = {member.value: member for member in Role}
    chosen = role or ["all"]
    if unknown := [name for name in chosen if name not in known]:
        raise typer.BadParameter(f"--role {unknown[0]}: use one of {', '.join(known)}")
    asyncio.run(run(_prepared(), [known[name] for name in chosen], state))


def api() -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C; its address comes from BRONCO_API_*.

    /docs shows every route and who may use it; keys are made with bronco api-key.
    """
    from api.server import serve

    settings = _prepared()
    asyncio.run(serve(settings, _dev_tools(settings)))


def _dev_tools(settings: "Settings") -> "DevTools | None":
    """What the dashboard may do to a dev chain and to a simulator; nothing on any other chain."""
    if not (settings.chain.is_dev and settings.dashboard.dev_tools):
        return None
    from bronco.devdesk import DevDesk
    from simulators.opend.control import SimulatorControl

    if settings.dashboard.simulator is None:
        return DevDesk(settings, None)
    host, _, port = settings.dashboard.simulator.rpartition(":")
    return DevDesk(settings, SimulatorControl(int(port), host))


def opend(context: typer.Context) -> None:
    """Run the OpenD simulator: develop against Futu OpenD without OpenD. --help shows more."""
    from simulators.opend.main import main

    code = main(context.args)
    raise typer.Exit(code)


def _prepared() -> "Settings":
    """Settings, with logging set up to keep their secrets."""
    from bronco import logs
    from bronco.settings import Settings

    settings = Settings.load()
    logs.configure(settings.log, settings.secrets())
    return settings
