"""Names for people and which products are free, by SKU id. The table `products.csv` was written for this project.

Microsoft's full list stays outside the project; `product_names` in the connection points to a copy of it. Part numbers
are no keys: `MCOPSTN5` has two ids, some hold spaces and brackets, and `O365_BUSINESS_PREMIUM` is Business Standard.
A name is only ever shown; an unknown product falls back to its part number, then its id, and never fails a read.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from syncd.errors import Fault, UserFault

# Column headings by what they hold: the project's own list, then those of Microsoft's download.
_ID_COLUMNS = ("SkuId", "GUID")
_NAME_COLUMNS = ("ProductName", "Product_Display_Name")


@dataclass(frozen=True, slots=True)
class Known:
    """A product in our own table."""

    part: str
    name: str
    free: bool


@cache
def own_table() -> Mapping[str, Known]:
    """Our own table by SKU id in lower case."""
    text = files("connectors.microsoft365").joinpath("products.csv").read_text(encoding="utf-8")
    return {
        row["SkuId"]: Known(row["SkuPartNumber"], row["ProductName"], row["Free"] == "yes")
        for row in csv.DictReader(text.splitlines())
    }


def read_names(path: Path, place: str) -> Mapping[str, str]:
    """SKU id in lower case -> product name, from a copy of Microsoft's list.

    Microsoft's own download repeats a product once for each service plan; the first name stands, it is only shown.
    Raises UserFault where the file cannot be read or has other columns; `place` says where it was named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserFault(
            Fault(place, f"the file {path} cannot be read ({why}).", "Name a readable CSV, or leave the key out.")
        ) from None
    rows = csv.DictReader(text.splitlines())
    headings = rows.fieldnames or ()
    id_column = next((one for one in _ID_COLUMNS if one in headings), None)
    name_column = next((one for one in _NAME_COLUMNS if one in headings), None)
    if id_column is None or name_column is None:
        raise UserFault(
            Fault(place, f"the file {path} lacks the columns SkuId and ProductName.", "Use Microsoft's list as it is.")
        )
    names: dict[str, str] = {}
    for row in rows:
        sku, name = (row[id_column] or "").strip().lower(), (row[name_column] or "").strip()
        if sku and name:
            names.setdefault(sku, name)
    if not names:
        raise UserFault(Fault(place, f"the file {path} holds no product.", "Use Microsoft's list as it is."))
    return names


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Our table, and over it the admin's copy of Microsoft's list."""

    names: Mapping[str, str]

    def name(self, sku_id: str, part: str) -> str:
        """What people call a product."""
        sku_id = sku_id.lower()
        known = own_table().get(sku_id)
        return self.names.get(sku_id) or (known.name if known else "") or part or sku_id

    def part(self, sku_id: str) -> str:
        """The part number of a product that the tenant's own list does not show; its id where it is not known."""
        known = own_table().get(sku_id.lower())
        return known.part if known else sku_id.lower()

    def free(self, sku_id: str) -> bool:
        """Whether a product is on the list of free and self-service trial products."""
        known = own_table().get(sku_id.lower())
        return known is not None and known.free
