"""What an admin writes: config.toml and mappings/*.toml, read, judged and turned into the core's frozen types.

`load` is the door in, `edit` the one way syncd itself writes a mapping, `example` makes the example files. Nothing
here speaks to a vendor. What always holds: every fault of every file is told at once, and whatever leaves this package
is whole and valid.
"""

from syncd.config.load import (
    Config,
    ConnectionConfig,
    EvidenceConfig,
    WebConfig,
    find_config,
    load,
    load_config,
    load_mappings,
)

__all__ = [
    "Config",
    "ConnectionConfig",
    "EvidenceConfig",
    "WebConfig",
    "find_config",
    "load",
    "load_config",
    "load_mappings",
]
