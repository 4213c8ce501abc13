"""Exports of a posed scene: labels aligned to the sparse points of a reconstruction."""
