"""What `bronco status` shows of the supply monitor: what is attested beside what is minted."""

from typing import TYPE_CHECKING, Any

from bronco.cli.output import write_table

if TYPE_CHECKING:
    from bronco.cli.sources import OpenChain


async def read_backing() -> list[dict[str, Any]]:
    """One entry an asset, token units as text, ages in seconds; none where no monitor is set.

    Raises:
        ConfigurationError: a monitor is set, and the chain's other settings are missing.
        SourceUnavailable: the chain could not be asked.
    """
    from bronco.cli.sources import open_chain
    from bronco.settings import load_section
    from bronco.trading import MonitorSettings

    monitor = load_section(MonitorSettings, section="chain").monitor
    if monitor is None:
        return []
    async with open_chain() as chain:
        return await _read(chain, monitor)


async def _read(chain: "OpenChain", monitor: str) -> list[dict[str, Any]]:
    from clients.monitor import MonitorReader
    from clients.shares import ShareReader

    reader, head = MonitorReader(chain.vault, monitor), await chain.vault.head()
    found: list[dict[str, Any]] = []
    for asset in chain.settings.assets:
        attested = await reader.attested(asset.token, head)
        entry = {
            "symbol": asset.symbol,
            "backed": str(attested.backed),
            "minted": str(await ShareReader(chain.vault.rpc).supply(asset.token, head)),
            "age": head.timestamp - attested.time if attested.time else None,
            "problem": attested.problem(head.timestamp),
        }
        found.append(entry)
    return found


def write_backing(entries: "list[dict[str, Any]]") -> None:
    """A table of them, if there are any."""
    rows = [
        (
            one["symbol"],
            one["backed"],
            one["minted"],
            "never" if one["age"] is None else f"{one['age']} s ago",
            one["problem"],
        )
        for one in entries
    ]
    if rows:
        heads = ("symbol", "backed", "minted now", "attested", "why it does not count")
        write_table("Backing, token units", heads, rows)
