"""Measured or rendered ground truth, read from the layouts it is published in."""
