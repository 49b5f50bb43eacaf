"""The way in: find config.toml, read it and the mapping files, and give frozen types or every fault at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from syncd.config.build import Draft, draft_config, mappings_key
from syncd.config.mapping_build import mapping_files, read_mappings
from syncd.config.types import Config, ConnectionConfig, EvidenceConfig, Link, WebConfig
from syncd.connect.contract import Connector
from syncd.core.rules import Mappings
from syncd.errors import Fault, UserFault

__all__ = ["Config", "ConnectionConfig", "EvidenceConfig", "WebConfig"]
__all__ += ["find_config", "load", "load_config", "load_mappings"]


def find_config(given: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """`--config`, else `$SYNCD_CONFIG`, else ./config.toml. Raises UserFault where there is no such file."""
    path = given or Path(environ.get("SYNCD_CONFIG") or "config.toml")
    if not path.is_file():
        what = "is no file." if path.exists() else "there is no such file."
        raise UserFault(Fault(str(path), what, "Run `syncd init` to write one, or name yours with --config."))
    return path


def load_config(
    path: Path, kinds: Mapping[str, Connector], environ: Mapping[str, str] = os.environ, *, secrets: bool = True
) -> Config:
    """The config alone. `secrets=False` does not look whether secrets can be read. Raises UserFault with all faults."""
    draft, faults = draft_config(path, kinds, environ, secrets=secrets)
    if draft.config is None:
        raise UserFault(faults)
    return draft.config


def load_mappings(config: Config, kinds: Mapping[str, Connector]) -> Mappings:
    """All mapping files of the config's folder, in the order of their names. Raises UserFault with all faults."""
    links = {
        name: Link(name, one.kind, kinds[one.kind].abilities.under(one.settings))
        for name, one in config.connections.items()
    }
    mappings, faults = read_mappings(config.mappings_folder, config.folder, links, key=mappings_key(config.path))
    if mappings is None:
        raise UserFault(faults)
    return mappings


def load(
    path: Path,
    kinds: Mapping[str, Connector],
    environ: Mapping[str, str] = os.environ,
    *,
    secrets: bool = True,
    may_be_empty: bool = False,
) -> tuple[Config, Mappings]:
    """Config and mappings. Raises UserFault with the faults of both.

    `may_be_empty`: a folder without any mapping file is a warning, for the commands that set syncd up.
    """
    draft, faults = draft_config(path, kinds, environ, secrets=secrets)
    mappings = None
    if draft.mappings_folder is not None:
        mappings, found = read_mappings(
            draft.mappings_folder,
            path.absolute().parent,
            draft.links,
            key=draft.mappings_key,
            may_be_empty=may_be_empty,
        )
        faults += found
    if draft.config is None or mappings is None:
        raise UserFault(faults)
    if kept := _names_kept(draft.config, mappings):
        raise UserFault(kept)
    if may_be_empty and not mapping_files(draft.config.mappings_folder):
        return replace(draft.config, warnings=(*draft.config.warnings, _empty(draft))), mappings
    return draft.config, mappings


def _empty(draft: Draft) -> str:
    what = f"the folder {draft.mappings_folder} holds no *.toml file, so nothing can be planned or billed."
    return f"{draft.mappings_key}: {what} `syncd suggest --write` writes one with proposals."


def _names_kept(config: Config, mappings: Mappings) -> list[Fault]:
    """A line that names people is kept in the ledger with what was sent, against `[evidence] subjects`."""
    if config.evidence.subjects == "names":
        return []
    mend = 'Take {subjects} out, or set subjects = "names".'
    what = f'names people, but [evidence] subjects is "{config.evidence.subjects}".'
    return [
        Fault(f"{rule.place} › description", what, mend) for rule in mappings.rules if "{subjects}" in rule.description
    ]
