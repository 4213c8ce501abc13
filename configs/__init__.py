"""The recipes that ship with redepth: one YAML each, read through `redepth.config.load_recipe`."""
