"""Mutated files against every reader: `python -m tests.fuzz` by hand, a bounded and seeded run in the tests."""
