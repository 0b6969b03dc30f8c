"""doctor: why an order is stuck, in words, and what may be done about it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bronco.cli.output import NOT_CONFIRMED, write, write_json, write_table
from bronco.cli.trading import Json, Who

if TYPE_CHECKING:
    from bronco.doctor import Doctor
    from models.facts import Diagnosis, Facts, Verb

Yes = Annotated[bool, typer.Option("--yes", help="Do it; else only say what would be done.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Operate")(doctor)


def doctor(
    order: Annotated[
        str, typer.Argument(help="Internal id, request id or workflow id. Default: all stuck.")
    ] = "",
    do: Annotated[str, typer.Option(help="resume, recheck or refund.")] = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; into the audit log.")] = "",
    who: Who = "",
    yes: Yes = False,
    quiet: Annotated[
        int, typer.Option(min=0, help="Without an order: seconds of which nothing was heard.")
    ] = 120,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Without an order: at most.")] = 50,
    as_json: Json = False,
) -> None:
    """Explain what an order waits for, since when, what happens by itself, and what can be done.

    Without an order it lists those that are stuck, and what the parts say.

    bronco doctor 42

    bronco doctor 42 --do refund --reason "asked by its owner on the phone" --yes
    """
    from models.errors import InvalidInput
    from models.facts import Verb

    known = {verb.value: verb for verb in Verb}
    if do and do not in known:
        raise InvalidInput("--do", do, f"use one of {', '.join(known)}")
    if do and not order:
        raise InvalidInput("order", "", f"say which one to {do}")
    if not order:
        asyncio.run(_all(timedelta(seconds=quiet), limit, as_json=as_json))
        return
    verb = known[do] if do else None
    asyncio.run(_one(order, verb, who, reason, yes=yes, as_json=as_json))


async def _one(
    key: str, verb: "Verb | None", who: str, reason: str, *, yes: bool, as_json: bool
) -> None:
    from models.diagnosis import diagnose

    async with _opened() as doctor:
        facts = await doctor.facts(key)
        found = diagnose(facts)
        said = "" if verb is None else await _told(doctor, facts, verb, who, reason, yes=yes)
    if as_json:
        write_json(found.model_dump(mode="json") | {"order": _named(facts), "done": said})
        return
    _show(facts, found)
    if said:
        write(said)


async def _told(
    doctor: "Doctor", facts: "Facts", verb: "Verb", who: str, reason: str, *, yes: bool
) -> str:
    """What was done, or would be."""
    refused = facts.why_not(verb)
    if refused and not yes:
        return f"{verb} would be refused: {refused}"
    if yes:
        return await doctor.act(facts, verb, who, reason)
    return f"{verb} would be done: say it again with --yes"


async def _all(quiet: timedelta, limit: int, *, as_json: bool) -> None:
    from bronco.cli.sources import open_store
    from models.errors import BroncoError

    try:
        async with _opened() as doctor:
            found = await doctor.stuck(quiet, limit)
        problems: list[str] = []
    except BroncoError as error:
        found, problems = [], [str(error)]
    with open_store() as store:
        findings = await store.findings.standing()
        statement = await store.reserves.latest()
    problems += statement.problems if statement is not None else ()
    if as_json:
        orders = [{"order": row.internal_id, **one.model_dump(mode="json")} for row, one in found]
        kept: list[dict[str, Any]] = [one.model_dump(mode="json") for one in findings]
        write_json({"orders": orders, "findings": kept, "problems": problems})
    else:
        heads = ("id", "stage", "waits for", "since", "by itself", "may")
        rows = [(row.internal_id, row.stage, *_line(one)) for row, one in found]
        write_table(f"Nothing heard of for {quiet.total_seconds():g} s", heads, rows)
        if findings:
            seen = [(one.kind, one.key, one.detail) for one in findings]
            write_table("Reconcile finds: see docs/reconcile.md", ("kind", "what", "how"), seen)
        for problem in problems:
            write(f"not all could be asked: {problem}")
    if problems:
        raise typer.Exit(NOT_CONFIRMED)


def _line(found: "Diagnosis") -> tuple[str, ...]:
    since = f"{found.since:%m-%d %H:%M:%S}Z" if found.since else "?"
    return (found.words, since, found.by_itself, ", ".join(found.may))


def _named(facts: "Facts") -> dict[str, Any]:
    row, terms = facts.row, facts.terms
    return {
        "internal_id": row.internal_id if row is not None else None,
        "request_id": row.request_id if row is not None else terms.request_id if terms else "",
        "status": row.status if row is not None else "",
        "stage": row.stage if row is not None else "",
        "vault": facts.status.name if facts.status is not None else "not asked",
    }


def _show(facts: "Facts", found: "Diagnosis") -> None:
    rows: list[tuple[str, object]] = [*_named(facts).items(), ("waits for", found.words)]
    rows.append(("since", f"{found.since:%Y-%m-%d %H:%M:%S}Z" if found.since else "not known"))
    rows.append(("by itself", found.by_itself))
    if found.by_when:
        rows.append(("until", f"{found.by_when:%Y-%m-%d %H:%M:%S}Z"))
    if found.person:
        rows.append(("a person", found.person))
    rows += [("beside", note) for note in found.notes]
    rows.append(("may be done", ", ".join(found.may) or "nothing"))
    write_table("", ("", f"cause {found.cause}"), rows)


@asynccontextmanager
async def _opened() -> "AsyncIterator[Doctor]":
    from bronco.cli.sources import open_chain, open_flags, open_store, open_temporal
    from bronco.doctor import Doctor
    from bronco.settings import load_section
    from bronco.signing import SignerSettings
    from models.requests import settlement_workflow_id

    signer = load_section(SignerSettings).address or ""
    async with open_chain(checked=False) as chain, open_flags() as flags:
        with open_store() as store:
            settlement = settlement_workflow_id(chain.settings.id, signer)
            yield Doctor(store, await open_temporal(), flags, chain.vault, settlement)
