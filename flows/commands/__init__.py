"""The commands of `redepth`, those that are used together in one module."""
