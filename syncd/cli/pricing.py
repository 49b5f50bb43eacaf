"""`price`: what a count would cost under a rule. Reads the files alone and signs in nowhere."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import typer

from syncd.cli.common import console, load_all, options, print_json
from syncd.cli.main import app
from syncd.errors import Fault, UserFault

Context = typer.Context


@app.command(
    epilog='Examples: syncd price "Backup storage" 27 | syncd price "Backup storage" 27 --json | '
    'syncd price "Business Premium" 27 --cost 18.70'
)
def price(
    context: Context,
    rule: Annotated[str, typer.Argument(help="The rule's name.", metavar="RULE")],
    quantity: Annotated[str, typer.Argument(help="The count, as the rule would count it.", metavar="QUANTITY")],
    cost: Annotated[
        str | None, typer.Option(help="What the vendor takes for one unit, for prices that are a markup on it.")
    ] = None,
) -> int:
    """What that count would cost under that rule, step by step, from included and rounding to the last cent."""
    from syncd.config.faults import did_you_mean
    from syncd.core.pricing import Unpriced
    from syncd.core.quote import quote, quote_json
    from syncd.money import plain

    units = _number("QUANTITY", quantity)
    each = _number("--cost", cost) if cost is not None else None
    config, mappings, _ = load_all(context, secrets=False)
    found = next((one for one in mappings.rules if one.name == rule), None)
    if found is None:
        names = [one.name for one in mappings.rules]
        raise UserFault(Fault("syncd price", f'no rule is called "{rule}".', did_you_mean(rule, names)))
    try:
        made = quote(found, units, config.house.currency, each)
    except Unpriced as why:
        mend = "Give it with --cost." if found.price is not None and found.price.markup is not None else ""
        raise UserFault(Fault(found.place, f"a count of {plain(units)} cannot be priced: {why}.", mend)) from None
    told = quote_json(made)
    if options(context).json:
        print_json(told)
        return 0
    out = console()
    width = max(len(step["amount"]) for step in [*told["steps"], told])
    out.print(f"{told['rule']}: {told['quantity']}", markup=False)
    for step in told["steps"]:
        out.print(f"  {step['amount']:>{width}}  {step['text']}", markup=False)
    out.print(f"  {told['amount']:>{width}}  {told['currency']}", markup=False, style="bold")
    return 0


def _number(name: str, text: str) -> Decimal:
    """A number from the command line, not negative. Raises UserFault."""
    from syncd.money import number

    try:
        found = number(text)
    except ValueError:
        fault = Fault(f"syncd price {name}", f'"{text}" is not a number.', "Write it like 27 or 12.5.")
        raise UserFault(fault) from None
    if found < 0:
        raise UserFault(Fault(f"syncd price {name}", f"{text} is negative.", "A count and a cost are not."))
    return found
