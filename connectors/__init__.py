"""One folder per vendor. syncd never imports this package: it finds the vendors by entry point."""
