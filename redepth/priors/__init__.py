"""Frozen models that know what pictures look like: a diffusion prior and captioners."""
