"""Doubles of the vendors over real HTTP on loopback: the shared kit and the small MSP that lives in them.

Each vendor's own double is in `connectors/<vendor>/sandbox.py`. Nothing here or there shares code with what reads and
posts: a shared mistake would be invisible.
"""
