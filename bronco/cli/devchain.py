"""devchain: contracts and money on a dev chain of your own."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.output import hand_out, quoted, warn

if TYPE_CHECKING:
    from bronco.devchain import DevChain

_PANEL = "Set up"
_URLS = "BRONCO_CHAIN_RPC_URLS"
_HEARTBEAT_SECONDS = 30 * 86_400
"""Nobody feeds the dev chain's prices: those it begins with count for so long."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=_PANEL)(devchain)


def devchain(
    env_file: Annotated[
        Path | None,
        typer.Option("--env", metavar="FILE", help="Write the settings there, not to stdout."),
    ] = None,
) -> None:
    """Deploy vault, USDT, shares and feeds to the dev chain of BRONCO_CHAIN_RPC_URLS.

    Prints the settings that name them. Safe to run again: what is there already is left alone.
    On a fresh chain the addresses are always the same; one that is set otherwise is an error.
    """
    from bronco.settings import environment

    values = environment()
    chain, was_there = asyncio.run(_ensure(values))
    _compare(chain, values)
    warn("the contracts were there already" if was_there else "the contracts are deployed")
    lines = [f"{name}={quoted(value)}" for name, value in _all(chain).items()]
    hand_out("\n".join(lines) + "\n", env_file)


async def _ensure(values: Mapping[str, str]) -> "tuple[DevChain, bool]":
    from bronco.devchain import DevChainPlan, ensure_deployed
    from clients.rpc import Rpc
    from models.errors import ConfigurationError

    url = values.get(_URLS, "").split(",")[0].strip()
    if not url:
        raise ConfigurationError(_URLS, "is missing (HTTP endpoint of the dev chain)")
    rpc = Rpc(url)
    try:
        return await ensure_deployed(rpc, DevChainPlan(heartbeat_seconds=_HEARTBEAT_SECONDS))
    finally:
        await rpc.close()


def _compare(chain: "DevChain", values: Mapping[str, str]) -> None:
    """Workers that read another address than what was deployed would wait for ever."""
    from models.errors import ConfigurationError

    for name, made in _all(chain).items():
        given = values.get(name, "")
        if given and _plain(given) != _plain(made):
            shown = "" if name.endswith("_KEY") else f": the chain has {made}"
            raise ConfigurationError(name, f"is not what was deployed{shown}")


def _all(chain: "DevChain") -> dict[str, str]:
    return chain.variables() | chain.key_variables()


def _plain(value: str) -> str:
    """Without what may differ in writing: the case of addresses, the spaces of JSON."""
    return "".join(value.lower().split())
