"""Prefect tasks: each logs, calls one redepth function, and returns small values."""
