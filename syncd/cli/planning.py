"""`plan`, `apply`, `run`, `check`."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli.alerting import alerts_json, check_alerts, told
from syncd.cli.common import console, load_all, options, print_json, progress
from syncd.cli.main import app
from syncd.clock import make_clock
from syncd.errors import Fault, LedgerBroken, LedgerBusy, UserFault, VendorError

if TYPE_CHECKING:
    from syncd.config import Config
    from syncd.core.plan import Plan
    from syncd.cycle import Cycle

Context = typer.Context


@app.command(
    epilog="Examples: syncd plan | syncd plan --all | syncd plan --out november.json | syncd plan --json\n\n"
    "Exit status: 0 nothing differs, 3 there is drift, 1 something could not be read or is blocked."
)
def plan(
    context: Context,
    out: Annotated[Path | None, typer.Option(help="Also write the plan, for `syncd apply`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show the lines that are as they should be, too.")] = False,
) -> int:
    """Reads everything, posts nothing, shows the drift and what would be done."""
    from syncd.core.shown import plan_json
    from syncd.cycle import look
    from syncd.ledger import Ledger

    config, mappings, kinds = load_all(context)
    clock = make_clock()
    with (
        Ledger.open(config.database, clock, folder=config.folder) as ledger,
        progress(context, "Reading") as tell,
    ):
        made, after = look(config, mappings, kinds, ledger, clock, counting=False, progress=tell), ledger.last_cycle()
    shown = plan_json(made, after, config.house.zone)
    if out is not None:
        _write_new(out, json.dumps({**shown, "parts": dict(made.parts)}, indent=2, ensure_ascii=False) + "\n")
    if options(context).json:
        print_json(shown)
    else:
        from syncd.cli.tables import print_plan

        print_plan(console(), made, every_line=every)
    return 1 if made.failing else 3 if made.drifting or made.guarded else 0


@app.command(epilog="Example: syncd plan --out november.json; read it; syncd apply november.json")
def apply(context: Context, file: Annotated[Path, typer.Argument(help="A file that `syncd plan --out` wrote.")]) -> int:
    """Posts exactly that plan; refuses, and shows the difference, if the world or the files moved since."""
    from syncd.core.policy import Action
    from syncd.core.rules import Mode
    from syncd.core.shown import plan_json
    from syncd.cycle import PlanMoved, run_cycle
    from syncd.ledger import Ledger

    planned = _read_plan(file)
    config, mappings, kinds = load_all(context)
    if config.house.ceiling is Mode.OBSERVE or (
        config.house.mode is Mode.OBSERVE and not any(one.mode for one in mappings.customers)
    ):
        raise UserFault(
            Fault("syncd apply", 'the mode is "observe", in which nothing is posted.', 'Set [syncd] mode = "post".')
        )
    clock = make_clock()

    def agreed(plan: Plan) -> bool:
        """The same plan, and a file that says of it what it says: its reader agreed to that."""
        return plan.checksum == planned["checksum"] and not _moved(planned, plan_json(plan, "", config.house.zone))

    with Ledger.open(config.database, clock, folder=config.folder) as ledger:
        ledger.claim("apply")
        try:
            with progress(context, "Applying") as tell:
                done = run_cycle(config, mappings, kinds, ledger, clock, progress=tell, agreed=agreed)
        except PlanMoved as moved:
            now = {**plan_json(moved.plan, "", config.house.zone), "parts": dict(moved.plan.parts)}
            faults = [Fault(str(file), sentence) for sentence in differences(planned, now)]
            mend = "Make a new plan, read it, apply that one."
            raise UserFault(
                [Fault(str(file), "the world or the files moved; nothing was posted.", mend), *faults]
            ) from None
    for line in done.plan.lines:
        if line.action is Action.POST and line.mode is Mode.OBSERVE:
            typer.echo(f"syncd: not posted: {line.customer} / {line.rule}: the customer's mode is observe", err=True)
    return _tell_cycle(context, config, done)


@app.command(
    epilog="Examples: syncd run | syncd run --once | SYNCD_MODE=observe syncd run --once\n\n"
    "Exit status of --once: 0 done, 1 something failed or is blocked, 3 something waits for a person."
)
def run(
    context: Context,
    once: Annotated[bool, typer.Option("--once", help="One full cycle, then end.")] = False,
    trust_clock: Annotated[
        bool, typer.Option(help="With --once: the clock is right now, and was wrong where the ledger is ahead of it.")
    ] = False,
) -> int:
    """The daemon: the first cycle at once, ends with 0 on SIGTERM. With --once, one cycle."""
    if not once:
        if trust_clock:
            raise UserFault(Fault("syncd run", "--trust-clock goes with --once.", "syncd run --once --trust-clock"))
        from syncd.cli.common import config_path
        from syncd.connect.registry import Kinds
        from syncd.daemon import run_daemon

        return run_daemon(config_path(context), Kinds(), make_clock(), debug=options(context).debug)
    from syncd.core.episodes_own import cycle_failed
    from syncd.cycle import run_cycle
    from syncd.cycle.alerting import tell_trouble, words
    from syncd.ledger import Ledger

    config, mappings, kinds = load_all(context)
    clock = make_clock()
    with Ledger.open(config.database, clock, folder=config.folder) as ledger:
        ledger.claim("run --once")
        try:
            with progress(context, "Cycle") as tell:
                done = run_cycle(config, mappings, kinds, ledger, clock, progress=tell, trust_clock=trust_clock)
        except (UserFault, LedgerBroken, LedgerBusy):  # said to whoever ran it; nothing can or need be written down
            raise
        except Exception as error:
            tell_trouble(config, mappings, kinds, ledger, clock, cycle_failed(words(error), mappings))
            raise
    return _tell_cycle(context, config, done)


@app.command(epilog="Examples: syncd check | syncd check --offline")
def check(
    context: Context,
    offline: Annotated[bool, typer.Option(help="Only the files; sign in nowhere.")] = False,
) -> int:
    """Validates the files, signs in everywhere, resolves every customer, product and agreement: all faults at once."""
    from syncd.core.unmapped import idle_patterns

    config, mappings, kinds = load_all(context, secrets=not offline, may_be_empty=True)
    out = console()
    result: dict[str, Any] = {
        "config": str(config.path), "customers": len(mappings.customers), "rules": len(mappings.rules),
        "connections": [], "faults": [], "errors": [], "warnings": [],
    }  # fmt: skip
    result["warnings"] += [f"{place}: {sentence}" for place, sentence in idle_patterns(mappings)]
    if not offline:
        failing = _check_sign_ins(context, config, kinds, result)
        config = _in_haste(config, failing, retry_wait=timedelta(milliseconds=10), timeout=timedelta(seconds=1))
        _check_lines(context, config, mappings, kinds, result, failing)
        check_alerts(config, mappings, kinds, result)
    if options(context).json:
        print_json(result)
    else:
        from rich.markup import escape

        for one in result["connections"]:
            good = "[green]signed in[/]" if one["ok"] else "[bold red]failed[/]   "
            out.print(f"{good} {escape(one['name'])}: {escape(one['message'])}")
            for warning in one["warnings"]:
                out.print(f"          [yellow]note[/] {escape(warning)}")
        for heading in ("faults", "errors"):
            for sentence in result[heading]:
                out.print(f"[bold red]{heading[:-1]}[/]     {escape(sentence)}")
        for sentence in result["warnings"]:
            out.print(f"[yellow]note[/]      {escape(sentence)}")
        wrong = len(result["faults"]) + len(result["errors"])
        out.print(
            f"{len(config.connections)} connections, {len(mappings.customers)} customers, {len(mappings.rules)} rules: "
            + (f"{wrong} to mend." if wrong else "nothing to mend." if not offline else "the files are right.")
        )
    return 2 if result["faults"] else 1 if result["errors"] else 0


def _in_haste(config: Config, names: Collection[str], **longest: timedelta) -> Config:
    """A person waits for the answer: these connections are asked again sooner than a cycle would, and what did not
    answer once is hardly waited for a second time."""
    from syncd.connect.settings import HttpSettings

    connections = dict(config.connections)
    for name in names:
        one = connections[name]
        if isinstance(one.settings, HttpSettings):
            shorter = {key: min(getattr(one.settings, key), most) for key, most in longest.items()}
            connections[name] = replace(one, settings=one.settings.model_copy(update=shorter))
    return replace(config, connections=connections)


def _check_sign_ins(context: Context, config: Config, kinds: Any, result: dict[str, Any]) -> set[str]:
    """The connections that could not sign in."""
    from syncd.core.logins import MEND
    from syncd.cycle.connections import logins, open_connections
    from syncd.ledger import Ledger

    clock = make_clock()
    hasty = _in_haste(config, config.connections, retry_wait=timedelta(milliseconds=200))
    with Ledger.open(config.database, clock, folder=config.folder) as ledger, progress(context, "Checking") as tell:
        ledger.prove()
        if ledger.restored:
            result["warnings"].append(
                f"{ledger.place.name}: the ledger was restored or went back; every change waits for a person until one "
                "cycle has read everything"
            )
        with open_connections(hasty, kinds, clock, ledger) as opened:
            for number, (name, one) in enumerate(opened.items(), start=1):
                tell(number, len(opened), f"signing in to {name}")
                try:
                    signed = one.connection.sign_in()
                except VendorError as failure:
                    row = {"name": name, "ok": False, "message": str(failure), "code": failure.code, "warnings": []}
                    result["errors"].append(f"{name}: {failure}")
                else:
                    row = {"name": name, "ok": True, "message": signed.identity, "warnings": list(signed.warnings)}
                result["connections"].append(row)
                result["warnings"] += [f"{login.told}. {MEND}" for login in logins({name: one}) if login.soon]
    return {one["name"] for one in result["connections"] if not one["ok"]}


def _check_lines(
    context: Context, config: Config, mappings: Any, kinds: Any, result: dict[str, Any], failing: Collection[str]
) -> None:
    """Every customer, product and agreement, by planning once."""
    from syncd.core.policy import Action
    from syncd.cycle import look
    from syncd.ledger import Ledger

    clock = make_clock()
    with Ledger.open(config.database, clock, folder=config.folder) as ledger, progress(context, "Checking") as tell:
        made = look(config, mappings, kinds, ledger, clock, counting=False, progress=tell)
    for error in made.errors:
        if error.connection not in failing:
            whom = f" / {error.customer}" if error.customer else ""
            kind = "faults" if error.code in ("not_found", "ambiguous") and error.customer else "errors"
            result[kind].append(f"{error.connection}{whom}: {error.message}")
    result["warnings"] += [f"{place}: {sentence}" for place, sentence in made.unseen]
    told = " ".join(result["faults"] + result["errors"])
    for line in made.lines:
        reason = line.reason.split(": ", 1)[-1]
        wrong = line.action is Action.BLOCKED or "missing agreement" in line.findings
        if wrong and reason not in told and line.connection not in failing:
            result["faults"].append(f'{line.customer} / rule "{line.rule}": {line.reason}')


def _tell_cycle(context: Context, config: Config, done: Cycle) -> int:
    from syncd.core.shown import entry_json, plan_json

    if options(context).json:
        shown = plan_json(done.plan, done.id, config.house.zone)
        shown |= {"entries": [entry_json(entry) for entry in done.entries], "waiting": done.waiting}
        shown |= {"kept": done.kept} if done.kept else {}
        print_json(shown | ({"alerts": alerts_json(done.alerts)} if done.alerts else {}))
        return done.exit_status
    from rich.markup import escape

    from syncd.cli.tables import entries_table, print_plan

    out = console()
    print_plan(out, done.plan)
    if done.entries:
        out.print(entries_table(done.entries, title=f"Written down in cycle {done.id}"))
    if done.waiting:
        out.print(f"{done.waiting} {'change waits' if done.waiting == 1 else 'changes wait'} for a person: syncd held")
    if done.kept:
        minutes = -(-done.quiet // timedelta(minutes=1))
        out.print(
            f"{done.kept} {'change is' if done.kept == 1 else 'changes are'} kept back for {minutes} min: the restored "
            "ledger may have forgotten a request that is still on its way. Then: syncd run --once"
        )
    for sentence in told(done.alerts):
        out.print(f"[yellow]note[/] {escape(sentence)}")
    if done.in_doubt:
        out.print(
            f"[bold red]{done.in_doubt} {'posting has' if done.in_doubt == 1 else 'postings have'} an outcome that is "
            "not known yet[/]: syncd ledger --state unknown"
        )
    return done.exit_status


def differences(planned: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What a plan file and the present plan say differently, line by line, at most twenty sentences."""
    return [*_moved(planned, now), *_parts_moved(planned, now)][:20] or ["the plan file itself was altered"]


_SAID = ("customer", "rule", "connection", "bought", "used", "billed", "invoiced", "target", "difference", "amount")


def _moved(planned: dict[str, Any], now: dict[str, Any]) -> list[str]:
    before = {line["id"]: line for line in planned["lines"]}
    after = {line["id"]: line for line in now["lines"]}
    found = []
    for id_ in dict.fromkeys([*before, *after]):
        one, other = before.get(id_), after.get(id_)
        name = f"{(one or other or {}).get('customer')} / {(one or other or {}).get('rule')}"
        if one is None or other is None:
            found.append(f"{name}: " + ("is new" if one is None else "is gone"))
            continue
        moved = [
            f"{field} was {one.get(field)}, is {other.get(field)}"
            for field in (*_SAID, "currency", "action")
            if one.get(field) != other.get(field)
        ]
        if moved:
            found.append(f"{name}: " + ", ".join(moved))
    return found


def _parts_moved(planned: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What the checksum covers and no field shows."""
    before = planned.get("parts")
    if not isinstance(before, dict):
        return ["the mappings, the config or the plan file itself changed"]
    found = [f"the {name} changed" for name in ("mappings", "config") if before.get(name) != now["parts"][name]]
    told = " ".join(_moved(planned, now))
    for line in now["lines"]:
        name = f"{line['customer']} / {line['rule']}"
        if before.get(line["id"]) != now["parts"][line["id"]] and f"{name}: " not in told:
            where = line["connection"]
            found.append(f"{name}: its line in {where} was touched since, or something was decided about it")
    return found


def _read_plan(file: Path) -> dict[str, Any]:
    planned: dict[str, Any] | None
    try:
        planned = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserFault(
            Fault(str(file), f"cannot be read ({error.strerror}).", "Make one: syncd plan --out FILE")
        ) from None
    except ValueError:
        planned = None
    lines = planned.get("lines") if isinstance(planned, dict) and "checksum" in planned else None
    named = isinstance(lines, list) and all(isinstance(one, dict) and isinstance(one.get("id"), str) for one in lines)
    if planned is None or not named:
        raise UserFault(Fault(str(file), "is not a plan.", "Make one: syncd plan --out FILE"))
    return planned


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserFault(Fault(str(path), "exists already.", "Name another file; plans are not written over.")) from None
    except OSError as error:
        raise UserFault(Fault(str(path), f"cannot be written ({error.strerror}).")) from None
