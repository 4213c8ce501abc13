"""Measurements; nothing here is part of the package or of the tests' timing."""
