"""syncd keeps what an MSP's customers use and what they are billed the same, and can prove every number."""

__version__ = "0.1.0"
