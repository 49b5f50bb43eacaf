"""The fixture that starts doubles; everything else of these tests lies in json_kit."""

from __future__ import annotations

from json_kit import served

__all__ = ["served"]
