"""The tables of mappings/*.toml: every key with its type, its default, its description and an example.

Owns the shape of customers, rules, ignores, populations and prices. Does not own what they mean together with the
connections (`rules`, `customers`). What always holds: a single table where several are allowed is a list of one.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from syncd.config.faults import did_you_mean
from syncd.config.schema import ModeName
from syncd.config.values import (
    ONE_OR_MORE,
    Day,
    Number,
    Percents,
    Quantity,
    Table,
    Text,
    Texts,
    Tolerance,
)
from syncd.connect.settings import Duration
from syncd.core.rules import Bound
from syncd.money import ZERO

PLACEHOLDERS = ("product", "period", "used", "subjects", "customer", "rule", "from", "to", "quantity")


def _description(value: str) -> str:
    try:
        parts = list(Formatter().parse(value))
    except ValueError:
        raise ValueError("has a brace without its partner; write {{ or }} for a brace itself") from None
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if spec or conversion:
            raise ValueError(f"takes no format after {{{name}}}; write the name alone")
        if name not in PLACEHOLDERS:
            raise ValueError(f"does not know {{{name}}}. {did_you_mean(name, PLACEHOLDERS, form='{{{}}}')}")
    return value


Description = Annotated[str, AfterValidator(_description)]
Where = dict[str, Any]
Positive = Annotated[Number, Field(gt=ZERO)]


class CustomerTable(Table):
    """`[[customer]]`: its own keys. Every other key names a connection."""

    name: Text = Field(description="What people read.", examples=["Contoso Dental"])
    tags: Texts | None = Field(
        None, description='Groups that rules and alerts can name as "tag:pilot".', examples=[["pilot", "co-managed"]]
    )
    mode: ModeName | None = Field(
        None,
        description="This customer's own mode (observe, propose or post): a pilot posts while the rest observes.",
        examples=["propose"],
    )


class RemoteKeyTable(Table):
    """A customer's key in one connection, where it is only a part of what is there."""

    id: Text = Field(
        description="The system's id, else its identifier, else its exact name.", examples=["contoso.onmicrosoft.com"]
    )
    where: Where = Field(
        default_factory=dict,
        description="Which part of it is this customer.",
        examples=[{"domain": "east.contoso.com"}],
    )


class BoughtTable(Table):
    """`bought`"""

    connection: Text = Field(alias="from", description="The connection that is read.", examples=["pax8"])
    sku: Texts | None = Field(
        None,
        description="The SKU, a list of them, or globs. Only what is not sold by SKU (users, devices, hours, tickets) "
        "does without.",
        examples=["SPB"],
    )
    measure: Text | None = Field(
        None, description="How it is measured; the connection's own default where left out.", examples=["assigned"]
    )
    where: Where = Field(default_factory=dict, description="Filters what is counted.", examples=[{"enabled": True}])
    population: Text | None = Field(
        None, description="A filter by the name of a [[population]].", examples=["billable user"]
    )


class CountTable(BoughtTable):
    """`count`, or one of a list of them."""

    factor: Number = Field(Decimal(1), description="Multiplies this count before they are added.", examples=[1])


class InvoicedTable(Table):
    """`invoiced`"""

    connection: Text = Field(alias="from", description="The connection whose invoices are read.", examples=["qbo"])
    item: Text | None = Field(None, description="Item on the invoices: id, else code, else name.", examples=["M365 BP"])
    product: Text | None = Field(None, description="The same, where the system says product.", examples=["M365-BP"])

    @model_validator(mode="after")
    def _one_name(self) -> InvoicedTable:
        if (self.item is None) == (self.product is None):
            raise ValueError('needs one item, like { from = "qbo", item = "M365 BP" }')
        return self


class ExampleTable(Table):
    """`[[rule.example]]`"""

    count: Quantity = Field(description="If this much is counted,", examples=[27])
    target: Quantity = Field(description="this much is billed.", examples=[27])


class RuleTable(Table):
    """`[[rule]]`"""

    name: Text = Field(description="What people read; unique over all files.", examples=["M365 Business Premium"])
    customers: Texts = Field(
        ("*",), description='Globs over names; "tag:pilot" names a group, "!" takes away.', examples=[["*"]]
    )
    count: Annotated[list[CountTable], ONE_OR_MORE] = Field(
        min_length=1,
        description="What is counted; a list of tables is added up.",
        examples=[{"from": "m365", "sku": "SPB", "measure": "assigned"}],
    )
    where: Where = Field(
        default_factory=dict, description="Filters every count of this rule.", examples=[{"enabled": True}]
    )
    population: Text | None = Field(
        None, description="A filter by the name of a [[population]], for every count.", examples=["billable user"]
    )
    bill: dict[str, Any] | None = Field(
        None,
        description="Where it is billed: the connection, and what names the line there.",
        examples=[{"to": "cw", "agreement": "Managed Services*", "product": "M365-BP"}],
    )
    bought: BoughtTable | None = Field(
        None,
        description="Optional cross-check: what the MSP pays a vendor or distributor for.",
        examples=[{"from": "pax8", "sku": "MST-CFQ7TTC0LCHC"}],
    )
    invoiced: InvoicedTable | None = Field(
        None,
        description="Optional cross-check: what the books say was invoiced.",
        examples=[{"from": "qbo", "item": "M365 BP"}],
    )
    true_up: Literal["quantity", "line", "usage", "alert"] = Field(
        "quantity",
        description="quantity keeps the recurring line equal to the target; line posts the difference as a line of "
        "its own; usage bills a period when it is over; alert never posts.",
        examples=["quantity"],
    )
    increase: Literal["now", "next-period", "hold", "ignore"] = Field(
        "now", description="now, next-period, hold or ignore.", examples=["now"]
    )
    decrease: Literal["now", "next-period", "hold", "ignore", "term"] = Field(
        "hold",
        description="now, next-period, hold, ignore or term (not before the commitment ends).",
        examples=["hold"],
    )
    tolerance: Tolerance = Field(Bound(ZERO), description="A number or a percentage that is not drift.", examples=[0])
    included: Quantity = Field(ZERO, description="Of the count, already inside the flat fee.", examples=[0])
    minimum: Quantity | None = Field(None, description="Never bill fewer.", examples=[5])
    maximum: Quantity | None = Field(None, description="Never bill more; alert instead.", examples=[500])
    round: Literal["none", "up", "down", "nearest"] = Field(
        "none", description="none, up, down or nearest, to a multiple of `to`.", examples=["none"]
    )
    to: Positive = Field(Decimal(1), description="`round` rounds to a multiple of this.", examples=[1])
    prorate: Literal["none", "daily"] = Field(
        "none", description="none or daily: the part of a period already invoiced.", examples=["none"]
    )
    create: bool = Field(False, description="May syncd add the line where the customer has none?", examples=[False])
    description: Description = Field(
        "",
        description="What the customer reads on the line, with " + ", ".join(f"{{{name}}}" for name in PLACEHOLDERS),
        examples=["{product}, {period}: {used} seats ({subjects})"],
    )
    example: list[ExampleTable] = Field(
        default_factory=list,
        description="Checked by `syncd check`: the rule says what its author meant.",
        examples=[[{"count": 27, "target": 27}]],
    )
    price: dict[str, Any] | None = Field(
        None, description="Where the rule owns the price.", examples=[{"model": "unit", "unit": 12}]
    )
    notify: Percents | None = Field(
        None, description="Of each tier's bound: tell before it is reached.", examples=[["80%", "100%"]]
    )
    aggregate: Literal["peak", "average", "last", "sum", "p95"] | None = Field(
        None, description="What of a period's days true_up = usage bills.", examples=["peak"]
    )
    grace: Duration | None = Field(
        None, description="How long after a period true_up = usage waits; 2d where left out.", examples=["2d"]
    )


class IgnoreTable(Table):
    """`[[ignore]]`"""

    connection: Text = Field(alias="from", description="The connection that shows it.", examples=["m365"])
    sku: Texts | None = Field(None, description="SKUs, or globs.", examples=[["FLOW_FREE", "WINDOWS_STORE"]])
    customer: Texts | None = Field(None, description="Customers, as that system names them.", examples=[["Northwind"]])
    why: Text = Field("", description="The reason, for whoever reads this later.", examples=["free"])
    until: Day | None = Field(None, description="After this day it is reported again.", examples=[date(2027, 6, 30)])

    @model_validator(mode="after")
    def _something(self) -> IgnoreTable:
        if self.sku is None and self.customer is None:
            raise ValueError('names nothing to ignore; add sku = ["FLOW_FREE"] or customer = ["Northwind"]')
        return self


class PopulationTable(Table):
    """`[[population]]`"""

    name: Text = Field(description="The name that `population` uses.", examples=["billable user"])
    where: Where = Field(min_length=1, description="The filter.", examples=[{"enabled": True}])


class MappingFile(Table):
    """A whole mapping file. The tables are validated one by one, so the types here only name them."""

    customer: list[Any] = Field(default_factory=list, description="Who is billed.", examples=[[]])
    rule: list[Any] = Field(default_factory=list, description="What is counted and billed.", examples=[[]])
    ignore: list[Any] = Field(
        default_factory=list, description="Seen and decided: never reported as unmapped again.", examples=[[]]
    )
    population: list[Any] = Field(
        default_factory=list, description="A filter with a name, so that it means one thing everywhere.", examples=[[]]
    )
