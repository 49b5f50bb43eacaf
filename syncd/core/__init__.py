"""Pure: nouns and rules in, a plan out. No I/O, no clock, no logging; equal input gives equal output."""
