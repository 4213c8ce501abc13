"""Formulas: how good a depth map is, against measured or exact depth."""
