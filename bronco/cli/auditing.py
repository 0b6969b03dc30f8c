"""audit: whether the audit log is the one that was sealed."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bronco.cli.output import NOT_CONFIRMED, warn, write, write_json
from bronco.cli.trading import Json

if TYPE_CHECKING:
    from bronco.audited import AuditReport

_EVERY_SECONDS = 2.0
_HELP = "The audit log: every change of money and control, chained by hashes."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    audit = typer.Typer(help=_HELP, no_args_is_help=True)
    # A callback keeps `verify` a command of its own while it is the only one.
    audit.callback()(_group)
    audit.command()(verify)
    app.add_typer(audit, name="audit", rich_help_panel="Read")


def _group() -> None:
    """The audit log: every change of money and control, chained by hashes."""


def verify(
    heads: Annotated[
        list[Path] | None,
        typer.Option(help="File of signed heads, also a copy; may be given more than once."),
    ] = None,
    signer: Annotated[
        list[str] | None,
        typer.Option(help="Address whose heads count, beside BRONCO_AUDIT_ADDRESS."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every entry of the audit log, and that all signed heads are still in it.

    Names the first bad entry: 1 is the exit code then. 3 when the log holds but something could not
    be confirmed, for instance because there are no signed heads. Heads are read from
    BRONCO_AUDIT_DIRECTORY and from --heads.

    bronco audit verify --heads /mnt/usb/audit-heads-1-0x….jsonl
    """
    report = asyncio.run(_verify(heads or [], signer or []))
    if as_json:
        write_json(_plain(report))
    else:
        _show(report)
    if not report.whole:
        raise typer.Exit(1)
    if report.problems:
        raise typer.Exit(NOT_CONFIRMED)


async def _verify(files: list[Path], signers: list[str]) -> "AuditReport":
    from bronco.audited import examine, gathered
    from bronco.cli.sources import open_store
    from bronco.sections import AuditSettings
    from bronco.settings import load_section
    from bronco.signing import TargetSettings
    from clients.head_file import HeadFile, read_heads

    settings = load_section(AuditSettings)
    target = load_section(TargetSettings, section="chain")
    kept = [(str(path), read_heads(path)) for path in files]
    if settings.directory is not None:
        file = HeadFile(settings.directory, target.id, target.vault)
        if file.exists():
            kept.append((str(file.path), file.read()))
    counting = [*signers, *([settings.address] if settings.address else [])]
    with open_store() as store:
        outside = await gathered(store.audit, kept, counting, target.id, target.vault)
        return await examine(store.audit, outside, datetime.now(UTC), _Progress())


class _Progress:
    """A line on standard error every two seconds."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def __call__(self, checked: int, of: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= _EVERY_SECONDS:
            self._told_at = now
            warn(f"checked {checked} of {of} entries")


def _plain(report: "AuditReport") -> dict[str, Any]:
    verdict, newest = report.verdict, report.outside.newest
    fault = verdict.fault
    return {
        "whole": report.whole,
        "fault": fault and {"seq": fault.seq, "row": fault.entry_id, "problem": fault.problem},
        "entries": verdict.checked,
        "unsealed": verdict.unsealed,
        "head": {"seq": verdict.head.seq, "hash": verdict.head.hash},
        "signed_heads": {"found": verdict.heads, "newest": newest and newest.model_dump()},
        "problems": list(report.problems),
    }


def _show(report: "AuditReport") -> None:
    verdict, newest = report.verdict, report.outside.newest
    if verdict.fault is not None:
        write(f"BROKEN at {verdict.fault}")
    else:
        write(f"whole: {verdict.checked} entries, the head is {verdict.head.hash}")
    if verdict.unsealed:
        write(f"{verdict.unsealed} entries wait for their place in the chain")
    if newest is not None:
        at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(newest.time))
        words = f"{verdict.heads} of {len(report.outside.heads)} signed heads were found in it"
        write(f"{words}; the newest covers entry {newest.seq}, signed {at}")
    for problem in report.problems:
        warn(problem)
