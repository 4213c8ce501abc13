"""Procedural scenes with exact depth, normals, masks and captions: a world where truth is known."""
