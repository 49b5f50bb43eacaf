"""The command line: reads arguments, calls the cycle or the ledger, prints. Holds no business rule."""
