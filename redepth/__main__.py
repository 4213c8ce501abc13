"""`python -m redepth`: the command `redepth`, as the package installs it."""

from __future__ import annotations

from importlib.metadata import distribution


def main() -> None:
    """Run the command line, which knows the library; the library does not know it."""
    commands = distribution("redepth").entry_points.select(group="console_scripts", name="redepth")
    (command,) = commands
    command.load()()


if __name__ == "__main__":
    main()
