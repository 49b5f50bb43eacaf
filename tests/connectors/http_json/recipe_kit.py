"""The recipes of docs/vendors as they stand on the page: their blocks, their rules, the answers beside them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "vendors"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ANSWER = re.compile(r"^`(?:GET )?([^`\n]+)`\n```(json|csv)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Recipe:
    """One page. `answers`: path -> the body that stands below it."""

    name: str
    text: str
    blocks: tuple[str, ...]
    answers: dict[str, str]

    @property
    def connections(self) -> str:
        return next(block for block in self.blocks if block.startswith("[connections."))

    @property
    def mappings(self) -> str:
        return "\n".join(block for block in self.blocks if block.startswith("[["))

    @property
    def settings(self) -> dict[str, Any]:
        """The connection's keys."""
        tables = tomllib.loads(self.connections, parse_float=Decimal)["connections"]
        (settings,) = tables.values()
        return dict(settings)

    @property
    def connection(self) -> str:
        (name,) = tomllib.loads(self.connections)["connections"]
        return str(name)

    @property
    def environ(self) -> dict[str, str]:
        """A value for every variable that it names."""
        return {name: f"value-of-{name.lower()}" for name in re.findall(r'env = "(\w+)"', self.connections)}


def recipes() -> list[Recipe]:
    """All pages but the list of them."""
    found = []
    for path in sorted(FOLDER.glob("*.md")):
        if path.name == "README.md":
            continue
        text = path.read_text(encoding="utf-8")
        blocks = tuple(body for language, body in _BLOCK.findall(text) if language == "toml")
        found.append(Recipe(path.stem, text, blocks, {where: body for where, _, body in _ANSWER.findall(text)}))
    return found
