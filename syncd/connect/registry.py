"""Finds the connectors by entry point, so that third parties add kinds without a change here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from syncd.connect.contract import Connector
from syncd.errors import Fault, UserFault

GROUP = "syncd.connectors"


class Kinds(Mapping[str, Connector]):
    """Kind name -> connector, loaded when first asked for: a config with two kinds imports two."""

    def __init__(self) -> None:
        self._points: dict[str, EntryPoint] = {}
        for point in entry_points(group=GROUP):
            rival = self._points.get(point.name)
            if rival is not None and rival.value != point.value:
                raise UserFault(
                    Fault(
                        f"entry point {GROUP}.{point.name}",
                        f"is claimed by {rival.value} and {point.value}.",
                        "Uninstall one of the two packages.",
                    )
                )
            self._points[point.name] = point

    def __getitem__(self, kind: str) -> Connector:
        connector: Connector = self._points[kind].load()
        return connector

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._points))

    def __len__(self) -> int:
        return len(self._points)
