"""One number in words: what was counted, the rule as it stood, what was sent, what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from syncd.cli.tables import printable


def rule_text(rule: Mapping[str, Any]) -> str:
    """A rule as it stood, in one sentence: what it counts, where it bills, what is not left at its default."""
    parts = ["count " + " + ".join(_count_text(ref) for ref in rule["count"])]
    if rule["bill"]:
        chosen = {**rule["bill"]["selectors"], **rule["bill"]["options"]}
        parts.append(f"bill {rule['bill']['connection']} " + ", ".join(f'{key} "{one}"' for key, one in chosen.items()))
    parts.append(f"true_up {rule['true_up']}, increase {rule['increase']}, decrease {rule['decrease']}")
    parts += [f"{key} {rule[key]}" for key in ("included", "minimum", "maximum") if rule[key] not in (None, "0")]
    if rule["rounding"] != "none":
        parts.append(f"rounded {rule['rounding']} to a multiple of {rule['to']}")
    if rule["prorate"]:
        parts.append("prorated daily")
    if rule["true_up"] == "usage":
        parts.append(f"aggregate {rule['aggregate']}")
    if rule.get("price"):  # rules that were kept by an older version have no such key
        parts.append("at a price of its own")
    return "; ".join(parts)


def _count_text(ref: Mapping[str, Any]) -> str:
    factor = "" if ref["factor"] == "1" else f" × {ref['factor']}"
    filters = ", ".join(f"{name} {'/'.join(map(str, values))}" for name, values in ref["where"])
    return f"{ref['connection']} {'/'.join(ref['skus'])} {ref['measure']}{factor}" + (
        f" where {filters}" if filters else ""
    )


def explanation(
    line: Mapping[str, Any],
    subjects: Mapping[str, Sequence[Sequence[str]]],
    rule: Mapping[str, Any] | None,
    entry: Mapping[str, Any] | None,
    events: Sequence[Mapping[str, Any]],
) -> RenderableType:
    """One number with its whole derivation."""
    if entry is not None and "customer" not in line:  # a message or a ticket: no number stands behind it
        return Group(*_sent(entry, events))
    how = line.get("derivation", {})
    out: list[RenderableType] = [
        Text(f"{printable(line['customer'])} · {printable(line['rule'])} · {line['connection']}", style="bold"),
        Text(""),
    ]
    counted = "Counted today" if "usage" in how else "Counted"
    for heading, parts in ((counted, how.get("counts", [])), ("Bought", how.get("bought", []))):
        for part in parts:
            factor = f" × {part['factor']}" if part["factor"] != "1" else ""
            note = f" ({part['note']})" if part.get("note") else ""
            out.append(
                Text(
                    f"{heading}: {part['quantity']}{factor} × {part['name']} [{part['sku']}] in {part['connection']} "
                    f"{part['customer_id']}, {part['query']}; read whole: {part['proof'] or 'yes'}{note}"
                )
            )
            for subject in subjects.get(part.get("subjects", ""), ()):
                out.append(Text(f"    {subject[1]}" + (f" · {subject[2]}" if subject[2] else ""), style="dim"))
    if rule is not None:
        out.append(Text(f"Rule as it stood: {printable(rule_text(rule))}"))
    if "usage" in how:
        out.append(Text(_days(how["usage"])))
    out += [Text(f"  {step['text']}: {step['result']}") for step in how.get("steps", [])]
    out += _priced(how.get("price"))
    out.append(Text(f"Target {line['target']}, billed {line['billed']}: differs by {line['difference']}"))
    if line["findings"]:
        out.append(Text("Findings: " + ", ".join(line["findings"])))
    out.append(Text(f"{line['action']}: {line['reason']}", style="bold"))
    if line.get("guards"):
        out.append(Text("Guards: " + ", ".join(line["guards"])))
    if entry is not None:
        out += _sent(entry, events)
    return Group(*out)


def _days(usage: Mapping[str, Any]) -> str:
    """The days of a closed period, each with its highest and its closing reading where they differ."""
    read = ((day[8:], high if high == close else f"{high}→{close}") for day, high, close in usage["days"])
    days = ", ".join(f"{day}: {what}" for day, what in read)
    return f"Read in {usage['period']}, by day, highest→closing: {days}"


def _priced(price: Mapping[str, Any] | None) -> list[RenderableType]:
    """Each step of the price, and what they sum to."""
    if not price:
        return []
    if "problem" in price:
        return [Text(f"  no price: {printable(price['problem'])}")]
    steps = [Text(f"  {step['text']}: {step['amount']}") for step in price["steps"]]
    return [*steps, Text(f"  in all: {price['amount']} {price['currency']}")]


def _sent(entry: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """What was sent, and what came back."""
    out: list[RenderableType] = []
    out += [
        Text(""),
        Text(f"Entry {entry['id']}: {entry['operation']} {entry['from']} → {entry['to']}", style="bold"),
    ]
    out.append(Text(f"  key {entry['key']}"))
    out.append(Text(f"  request {entry['request']}"))
    if entry.get("remote_id"):
        out.append(Text(f"  record {entry['remote_id']} in {entry['connection']}"))
    for event in events:
        note = f": {event['note']}" if event.get("note") else ""
        out.append(Text(f"  {event['at']}  {event['state']}{printable(note)}  {event['hash'][:12]}"))
        if event.get("answer"):
            out.append(Text(f"    answered {printable(event['answer'])[:400]}", style="dim"))
    return out
