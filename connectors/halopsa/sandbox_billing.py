"""The double's billing: quantities that Halo calculates, pro-rata rows, the audit of every edit, the invoice run."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from connectors.halopsa import sandbox_state as state
from connectors.halopsa.sandbox_front import Front
from syncd.sandbox.world import World

Row = dict[str, Any]
API_AGENT = "syncd API"


class Billing(Front):
    """Records and what happens to them. See `sandbox.build` for the options."""

    def __init__(self, world: World, **options: Any) -> None:
        super().__init__(world, **options)
        self.world = world
        self.tables = state.tables(world)
        self.next_id = 90_000
        self.warning = ""  # the soft failure that the next write answers with, changing nothing
        self.drops_omitted_lines = True

    def today(self) -> date:
        """The double's day."""
        return self.now().date()

    def fresh_id(self) -> int:
        """An id nobody has."""
        self.next_id += 1
        return self.next_id

    def find_line(self, number: int) -> tuple[Row, Row] | None:
        """(recurring invoice, line)."""
        for header in self.tables["RecurringInvoice"].values():
            for line in header["lines"]:
                if line["id"] == number:
                    return header, line
        return None

    def edit_line(self, header: Row, line: Row, changes: Row, who: str) -> dict[str, Any]:
        """Changes a line and notes every change in the audit. Returns what was changed."""
        changed = {}
        for name, value in changes.items():
            if line.get(name) != value:
                changed[name] = {"from": line.get(name), "to": value}
                self.audit(header["id"], line["id"], name, line.get(name), value, who)
                line[name] = value
        line["net_amount"] = Decimal(str(line["qty_order"])) * Decimal(str(line["unit_price"]))
        return changed

    def audit(self, header: int, line: int, name: str, old: object, new: object, who: str) -> None:
        """An audit row."""
        number = self.fresh_id()
        self.tables["InvoiceChange"][number] = {
            "id": number, "invoice_id": header, "invoice_line_id": line, "field_name": name, "old_value": str(old),
            "new_value": str(new), "who": who, "datetime": f"{self.now():%Y-%m-%dT%H:%M:%S}",
        }  # fmt: skip

    # --- what Halo calculates ---------------------------------------------------------------------------------------

    def count_of(self, line: Row) -> Decimal | None:
        """What a calculated line must show; None for a manual one."""
        header = self.tables["RecurringInvoice"][line["ihid"]]
        total: Decimal | None = None
        for rule in (*line["quantity_licences"], *line["quantity_subscriptions"]):
            licence = self.tables["SoftwareLicence"].get(rule["licence_id"])
            found = (licence or {}).get("licences_in_use" if rule.get("assigned_licences") else "count", 0)
            total = (total or Decimal(0)) + _ruled(found, rule)
        for rule in line["quantity_users"]:
            users = [one for one in self.tables["Users"].values() if one["client_id"] == header["client_id"]]
            billable = [
                one for one in users
                if not (one["inactive"] or one["isserviceaccount"] or one["ignoreautomatedbilling"])
                and one["name"] != "General User"
            ]  # fmt: skip
            total = (total or Decimal(0)) + _ruled(len(billable), rule)
        for rule in line["quantity_assets"]:
            assets = [
                one for one in self.tables["Asset"].values()
                if one["client_id"] == header["client_id"] and not one["inactive"]
                and rule.get("type_id") in (None, 0, one["assettype_id"])
            ]  # fmt: skip
            total = (total or Decimal(0)) + _ruled(len(assets), rule)
        return total

    def nightly(self) -> None:
        """Halo's job: calculated lines show again what they are calculated from, pro-rata rows are made."""
        with self.lock:
            for header in self.tables["RecurringInvoice"].values():
                for line in header["lines"]:
                    wanted = self.count_of(line)
                    if wanted is None or wanted == line["qty_order"]:
                        continue
                    rules = (*line["quantity_licences"], *line["quantity_users"], *line["quantity_assets"])
                    if any(rule.get("pro_rata") for rule in rules):
                        self.prorate(line, wanted - line["qty_order"])
                    self.edit_line(header, line, {"qty_order": wanted}, "Halo Integrator")

    def prorate(self, line: Row, delta: Decimal, by_hand: bool = False) -> None:
        """A pending row for the rest of the period; one that a person entered raises the line when it is billed."""
        number = self.fresh_id()
        line["prorata_data"] = [
            *line["prorata_data"],
            {
                "id": number, "invoicedetailid": line["id"], "recurring_invoice_id": line["ihid"],
                "date": state.text(self.today()), "quantity": delta, "unitprice": line["unit_price"],
                "isinvoiced": False, "dont_auto_calculate": by_hand,
            },
        ]  # fmt: skip

    # --- the invoice run --------------------------------------------------------------------------------------------

    def invoice(self, number: int) -> int:
        """Makes the recurring invoice's next invoice: its lines, its pro-rata rows; then moves its dates."""
        with self.lock:
            header = self.tables["RecurringInvoice"][number]
            day = date.fromisoformat(header["nextcreationdate"][:10])
            billed: list[Row] = []
            for line in list(header["lines"]):
                if line["isinactive"] or line["isgroupdesc"]:
                    continue
                for row in line["prorata_data"]:
                    billed.append({**line, "qty_order": row["quantity"], "unit_price": row["unitprice"]})
                    if row["dont_auto_calculate"]:  # a manual row: the template follows when it is billed
                        self.edit_line(header, line, {"qty_order": line["qty_order"] + row["quantity"]}, "Halo")
                line["prorata_data"] = []
                if not _runs(line, day):
                    continue
                billed.append(line)
                if line["onetimecharge"]:
                    header["lines"].remove(line)
            made = self.fresh_id()
            client = self.tables["Client"][header["client_id"]]
            self.tables["Invoice"][made] = state.invoice(made, client["id"], client["name"], day, billed, number)
            header["lastcreated"] = header["nextcreationdate"]
            header["nextcreationdate"] = state.text(state.month(day, 1))
            return made


def _ruled(count: object, rule: Row) -> Decimal:
    free, least = Decimal(rule.get("qty_free") or 0), Decimal(rule.get("minimum_qty") or 0)
    return max(Decimal(str(count)) - free, least, Decimal(0))


def _runs(line: Row, day: date) -> bool:
    starts, ends = (date.fromisoformat(line[name][:10]) for name in ("startdate", "enddate"))
    return starts <= day + timedelta(days=31) and (ends.year < 1950 or ends >= day)
