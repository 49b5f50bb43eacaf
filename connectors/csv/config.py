"""The keys of a `[connections.NAME]` with `kind = "csv"`: which files, and which columns say what."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from syncd.connect.settings import ConnectionSettings

# What may never separate fields: it already means the end of a row, a quotation, or part of a number.
_NO_DELIMITER = frozenset('\r\n"\0.0123456789')


class CsvSettings(ConnectionSettings):
    """Column names are compared exactly, less the blanks around them."""

    path: str = Field(
        min_length=1,
        description="Which files to read: a glob, relative to the folder of config.toml. All of them are added.",
        examples=["exports/backup-*.csv"],
    )
    customer: str = Field(min_length=1, description="Column that names the customer.", examples=["Account"])
    sku: str = Field(min_length=1, description="Column that names the SKU.", examples=["Plan"])
    quantity: str | None = Field(
        None, min_length=1, description="Column with the quantity; without it every row counts 1.", examples=["GB"]
    )
    subject: str | None = Field(
        None, min_length=1, description="Column that names the user or device, for the evidence.", examples=["Hostname"]
    )
    delimiter: str | None = Field(
        None, description="One character between fields; found from the header when left out.", examples=[";"]
    )

    @field_validator("customer", "sku", "quantity", "subject")
    @classmethod
    def _trim(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("must name a column")
        return value.strip() if value is not None else None

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value in _NO_DELIMITER):
            raise ValueError('must be one character like ",", ";", "|" or "\\t"')
        return value

    @model_validator(mode="after")
    def _distinct(self) -> CsvSettings:
        columns = self.columns
        if repeated := sorted({column for column in columns if columns.count(column) > 1}):
            raise ValueError(f'names the column "{repeated[0]}" twice; each key needs a column of its own')
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The declared columns: customer, SKU, then quantity and subject where given."""
        return tuple(column for column in (self.customer, self.sku, self.quantity, self.subject) if column)
