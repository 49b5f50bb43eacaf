"""What a connector may use: the contract, HTTP, sign-in flows, retries, limits, settings. Knows no vendor."""
