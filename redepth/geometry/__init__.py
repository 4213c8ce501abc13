"""Shapes and light: sizes, normals, re-lighting, letterboxing and least-squares alignment."""
