"""`suggest`: what could be mapped, for a person to read and accept. It never makes a mapping that counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli.common import console, load_all, options, print_json, progress
from syncd.cli.main import app
from syncd.clock import make_clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from syncd.core.suggest import Suggestion
    from syncd.cycle.suggesting import Proposals

FILE = "suggested.toml"
HEADING = """\
## Written by `syncd suggest --write`. Nothing in here counts until you accept it: take the first # of a proposal's
## lines away, read what you accept, then run `syncd check`. Leave what you refuse as it stands: it is not written
## again. An [[ignore]] keeps it from being proposed at all.
"""


@app.command(
    epilog="Examples: syncd suggest | syncd suggest --json | syncd suggest --write\n\n"
    "Exit status: 0 everything could be read, 1 something could not: it is not covered."
)
def suggest(
    context: typer.Context,
    write: Annotated[
        bool, typer.Option("--write", help=f"Append them as comments to {FILE} in the mappings folder.")
    ] = False,
) -> int:
    """Proposes customers and rules for what is unmapped, as TOML, with a score and the reason.

    A score of 100 is a shared id; 75 and less only names that are alike. Where two candidates are near, both are told
    and none is proposed. --write adds what is new as comments: a person accepts by taking the # away. Nothing is
    billed by a proposal.
    """
    from syncd.cycle.suggesting import propose
    from syncd.ledger import Ledger

    config, mappings, kinds = load_all(context, may_be_empty=True)
    clock = make_clock()
    with Ledger.open(config.database, clock, folder=config.folder) as ledger, progress(context, "Reading") as tell:
        found = propose(config, mappings, kinds, ledger, clock, progress=tell)
    path = config.mappings_folder / FILE
    written = _write(path, config.mappings_folder, found.suggestions) if write else None
    if options(context).json:
        as_of = found.moment.now.astimezone(config.house.zone).isoformat(timespec="seconds")
        print_json(_json(found, as_of, path, written))
    else:
        _print(console(), found, path, written)
    return 1 if found.errors else 0


def toml_of(one: Suggestion) -> str:
    """The proposal as comments that stay comments until a person accepts them."""
    from syncd.config.edit import as_comment
    from syncd.config.values import key_text, quoted, toml_text

    reason = "".join(letter if letter.isprintable() else " " for letter in one.reason)
    head = f"syncd suggest {one.mark}: score {one.score} of 100: {reason}"
    if not one.extends:
        return as_comment(one.kind, one.block, head)
    keys = ", ".join(f"{key_text(key)} = {toml_text(value)}" for key, value in one.block.items())
    return f"## {head}\n## Add to [[{one.kind}]] {quoted(one.extends)}: {keys}\n"


def _write(path: Path, folder: Path, found: Iterable[Suggestion]) -> list[Suggestion]:
    """Appends the proposals that no file of the folder holds yet, and says which."""
    from syncd.config.edit import add_comments

    there = "\n".join(one.read_text(encoding="utf-8-sig") for one in sorted(folder.glob("*.toml")))
    new = [one for one in found if f"syncd suggest {one.mark}:" not in there]
    if new:
        add_comments(path, [toml_of(one) for one in new], heading=HEADING)
    return new


def _json(found: Proposals, as_of: str, path: Path, written: Sequence[Suggestion] | None) -> dict[str, Any]:
    return {
        "as_of": as_of,
        "suggestions": [
            {
                "id": one.mark, "kind": one.kind, "name": one.name, "extends": one.extends or None,
                "score": one.score, "reason": one.reason, "mapping": dict(one.block), "toml": toml_of(one),
            }
            for one in found.suggestions
        ],
        "open": [
            {
                "kind": one.kind, "connection": one.connection, "id": one.id, "name": one.name,
                "ambiguous": one.near, "reason": one.reason,
            }
            for one in found.open
        ],
        "file": str(path) if written is not None else None,
        "written": None if written is None else [one.mark for one in written],
        "errors": [
            {"connection": e.connection, "customer": e.customer or None, "code": e.code, "message": e.message}
            for e in found.errors
        ],
    }  # fmt: skip


def _print(out: Console, found: Proposals, path: Path, written: Sequence[Suggestion] | None) -> None:
    from rich.table import Table

    from syncd.cli.tables import clean

    if found.suggestions:
        table = Table(title="Proposals; nothing of this counts until a person accepts it", title_justify="left")
        table.add_column("Score", justify="right")
        table.add_column("What", no_wrap=True)
        table.add_column("Name", min_width=14)
        table.add_column("Mapping", ratio=1, min_width=24)
        table.add_column("Reason", ratio=2, min_width=30)
        for one in found.suggestions:
            what = f"{'more for ' if one.extends else ''}{one.kind}"
            style = "green" if one.score >= 90 else "yellow" if one.score > 75 else "dim"
            table.add_row(f"[{style}]{one.score}[/]", what, clean(one.name), _mapping(one.block), clean(one.reason))
        out.print(table)
    for left in sorted(found.open, key=lambda left: not left.near):
        word = "[bold yellow]ambiguous[/]" if left.near else "[yellow]open[/]     "
        what = f"{left.kind} {clean(left.name)} ({clean(left.id)})"
        out.print(f"{word} {clean(left.connection)}: {what}: {clean(left.reason)}")
    for error in found.errors:
        whom = f" / {clean(error.customer)}" if error.customer else ""
        out.print(f"[bold red]not covered[/] {clean(error.connection)}{whom}: {clean(error.message)}")
    if not found.suggestions:
        out.print(
            "Nothing to propose." if found.open or found.errors else "Everything that the systems show is mapped."
        )
    if written is not None:
        out.print(
            f"{len(written)} written as comments to {clean(str(path))}; accept by taking the # away, then syncd check."
            if written
            else "Nothing new to write: every proposal stands in the mappings folder already."
        )
    elif found.suggestions:
        out.print(f"Keep them as comments in {FILE}, to accept one by one: syncd suggest --write")


def _mapping(block: Mapping[str, Any]) -> str:
    from syncd.cli.tables import clean
    from syncd.config.values import key_text, toml_text

    return "\n".join(clean(f"{key_text(key)} = {toml_text(value)}") for key, value in block.items() if key != "name")
