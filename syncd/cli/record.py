"""`ledger`, `explain`, `backup`, `restore`: what was done, and the proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli.common import (
    check_names,
    check_span,
    config_path,
    console,
    mappings_if_sound,
    open_ledger,
    options,
    print_json,
    progress,
)
from syncd.cli.main import app, ledger_app
from syncd.clock import Clock, make_clock
from syncd.errors import Fault, LedgerBroken, UserFault

if TYPE_CHECKING:
    from syncd.config import Config
    from syncd.core.entries import Entry

Context = typer.Context
_SHOWN = 10
_RESTORED = (
    "the ledger was restored or went back, and may have forgotten what was posted since; every change waits for a "
    "person until one cycle has read everything."
)


@ledger_app.callback(epilog="Examples: syncd ledger --customer Contoso --period 2026-11 | syncd ledger show ID")
def ledger(
    context: Context,
    customer: Annotated[str | None, typer.Option(help="Only this customer.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only this rule.")] = None,
    period: Annotated[str | None, typer.Option(help="Only this period, like 2026-11.")] = None,
    state: Annotated[str | None, typer.Option(help="Only this state, like posted or held.")] = None,
) -> int:
    """What was posted."""
    if context.invoked_subcommand is not None:
        return 0
    from syncd.core.entries import EntryState
    from syncd.core.shown import entry_json

    if state is not None and state not in list(EntryState):
        raise UserFault(Fault("--state", f"{state!r} is no state.", f"There are {', '.join(EntryState)}."))
    with open_ledger(context) as (record, config, _):
        check_span(record, None, period)
        found = record.entries(
            states={EntryState(state)} if state else None, customer=customer, rule=rule, period=period
        )
        if not found:
            check_names(record, mappings_if_sound(config), customer=customer, rule=rule, mapped=True)
    if options(context).json:
        print_json({"entries": [entry_json(entry) for entry in found]})
    elif found:
        from syncd.cli.tables import entries_table

        console().print(entries_table(found))
    else:
        typer.echo("The ledger has no such entry.")
    return 0


@ledger_app.command("show", epilog="Example: syncd ledger show k3f9a")
def show(context: Context, entry_id: Annotated[str, typer.Argument(metavar="ID")]) -> int:
    """One entry with its events and the exact request."""
    return _explain_entry(context, entry_id)


@ledger_app.command("verify", epilog="Exit status: 0 the record is whole, 4 it is broken.")
def verify(context: Context) -> int:
    """Recomputes the hash chain over all events and every entry from its events."""
    with open_ledger(context, check=False) as (record, _, _):
        problems = record.verify()
        count, head = record.head()
        warnings = [_RESTORED] if record.restored else []
    if options(context).json:
        print_json({"ok": not problems, "events": count, "head": head, "problems": problems, "warnings": warnings})
        return LedgerBroken.exit_status if problems else 0
    for warning in warnings:
        typer.echo(f"syncd: warning: {warning}", err=True)
    if problems:
        raise LedgerBroken("the record is broken:\n" + "\n".join(problems))
    typer.echo(f"{count} events, unbroken; head {head}")
    return 0


@ledger_app.command("export", epilog="Example: syncd ledger export syncd-2026-11-20.ledger.gz")
def export(context: Context, file: Path) -> int:
    """Writes the whole ledger into one file that any database's `import` reads: the way to move."""
    from syncd.ledger import export as write

    config, clock = _settings(context)
    with progress(context, "Exporting") as tell:
        count, head = write(config.database, file, folder=config.folder, clock=clock, progress=tell)
    typer.echo(f"{count} events are in {file}, proven; head {head}")
    return 0


@ledger_app.command("import", epilog="Example: stop the daemon, name the new database, syncd ledger import FILE")
def import_file(context: Context, file: Path) -> int:
    """Makes an exported ledger the ledger of the database that config.toml names, which must be new or empty."""
    from syncd.ledger import import_

    config, clock = _settings(context)
    with progress(context, "Importing") as tell:
        count, head = import_(file, config.database, folder=config.folder, clock=clock, progress=tell)
    typer.echo(
        f"{count} events are in the ledger, proven; head {head}\n"
        "Until one cycle has read everything, every change waits for a person."
    )
    return 0


@app.command(epilog='Examples: syncd explain k3f9a | syncd explain "Contoso Dental" "M365 Business Premium"')
def explain(
    context: Context,
    what: Annotated[str, typer.Argument(help="An entry's or a plan line's id, or a customer's name.")],
    rule: Annotated[str | None, typer.Argument(help="With a customer: the rule's name.")] = None,
) -> int:
    """The whole derivation of one number: counts with their subjects, the rule, what was sent, what came back."""
    if rule is None:
        return _explain_entry(context, what)
    with open_ledger(context) as (record, config, _):
        found = record.find_line(what, rule)
        if not found:
            mend = _meant(config, customer=what, rule=rule) or "Run one: syncd run --once"
            raise UserFault(Fault("syncd explain", f"no cycle has seen {what!r} under {rule!r}.", mend))
        for line in map(json.loads, found):
            _show(context, record, line, None, [])
    return 0


@app.command(epilog="Example: syncd backup /backups/syncd-2026-11-20.db")
def backup(context: Context, file: Path) -> int:
    """Copies the ledger, consistently, while the daemon runs; never over an existing file."""
    from syncd.ledger import backup as copy

    config, _ = _settings(context)
    with progress(context, "Copying") as tell:
        copy(config.database, file, folder=config.folder, progress=tell)
    typer.echo(f"The ledger is in {file}; its chain was verified there.")
    return 0


@app.command(epilog="Example: stop the daemon; syncd restore /backups/syncd-2026-11-20.db")
def restore(context: Context, file: Path) -> int:
    """Puts a backup in place of the ledger; refuses to lose newer entries."""
    from syncd.ledger import restore as put_back

    config, clock = _settings(context)
    with progress(context, "Restoring") as tell:
        put_back(file, config.database, folder=config.folder, clock=clock, progress=tell)
    typer.echo(
        "Restored. Run `syncd ledger verify`, then `syncd plan`. "
        "Until one cycle has read everything, every change waits for a person."
    )
    return 0


def _settings(context: Context) -> tuple[Config, Clock]:
    """Which ledger, without opening it."""
    import os

    from syncd.config import load_config
    from syncd.connect.registry import Kinds
    from syncd.logs import configure

    configure(debug=options(context).debug, quiet=True)
    return load_config(config_path(context), Kinds(), os.environ, secrets=False), make_clock()


def _meant(config: Config, **given: str) -> str:
    """Which mapped customer or rule was meant, where one was misspelt; "" where none was."""
    from syncd.config.faults import did_you_mean

    meant = []
    for mappings in mappings_if_sound(config):
        known = {"customer": [one.name for one in mappings.customers], "rule": [one.name for one in mappings.rules]}
        meant += [
            did_you_mean(name, known[what], listed=False) for what, name in given.items() if name not in known[what]
        ]
    return " ".join(filter(None, meant))


def _explain_entry(context: Context, id_: str) -> int:
    from syncd.core.shown import entry_json
    from syncd.ledger import request_of

    with open_ledger(context) as (record, config, _):
        entry = record.entry(id_)
        if entry is None:
            body = record.line(id_)
            if body is None:
                mend = _meant(config, customer=id_) or "See: syncd ledger, syncd plan --json"
                raise UserFault(Fault(id_, "no entry and no line has this id.", mend))
            _show(context, record, json.loads(body), None, [])
            return 0
        known = record.events(entry.id)
        wire = request_of(entry, known)
        shown = {
            **entry_json(entry),
            "why": entry.intent.why,
            "undo_of": entry.intent.undo_of or None,
            "request": f"{wire.method} {wire.path} {wire.body.decode(errors='replace')}".strip(),
        }
        events = [
            {
                "at": event.at.isoformat(timespec="seconds"),
                "state": str(event.to_state),
                "note": str(event.data.get("note", "")),
                "answer": str(event.data.get("echo", "")) or None,
                "hash": event.hash,
            }
            for event in known
        ]
        _show(context, record, dict(entry.intent.derivation), shown, events)
    return 0


def _show(
    context: Context,
    record: Any,
    line: dict[str, Any],
    entry: dict[str, Any] | None,
    events: list[dict[str, Any]],
) -> None:
    """An entry, or a line with the newest of its entries."""
    from syncd.core.shown import entry_json

    how = line.get("derivation", {})
    digests = [part["subjects"] for part in [*how.get("counts", []), *how.get("bought", [])] if part.get("subjects")]
    subjects = {digest: json.loads(body) for digest in digests if (body := record.blob(digest)) is not None}
    kept = record.observation("", how.get("rule", ""), "rule")
    rule = json.loads(kept.body) if kept else None
    changes = [] if entry else _newest(record, line)
    if options(context).json:
        shown = {"line": line, "subjects": subjects, "rule": rule, "entry": entry, "events": events}
        print_json(shown if entry else shown | {"entries": [entry_json(one) for one in changes]})
        return
    from syncd.cli.explaining import explanation
    from syncd.cli.tables import entries_table

    console().print(explanation(line, subjects, rule, entry, events))
    if changes:
        title = f"Its newest changes; one in full: syncd explain {changes[-1].id}"
        console().print("", entries_table(changes, title=title))


def _newest(record: Any, line: dict[str, Any]) -> list[Entry]:
    """The newest entries of a line, oldest first."""
    found = record.entries(customer=line["customer"], rule=line["rule"], limit=_SHOWN, newest=True)
    return [one for one in reversed(found) if one.intent.connection == line["connection"]]
