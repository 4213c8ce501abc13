"""Prefect flows and the command line: when work is done, and what the operator sees."""
