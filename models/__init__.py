"""The vocabulary every other package shares: pure data, no I/O, no clock."""
