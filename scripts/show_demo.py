"""Say what of the demo to look at first, and open it where there is a screen.

python -m scripts.show_demo FOLDER
"""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

# What each set of labels is looked at for, and the file of its newest report that shows it.
FIRST = {
    "photograph-labels": ("depth of the five photographs", "contact-sheet.png"),
    "labels": ("scenes refined, with their errors, on one page", "index.html"),
}


def newest_report(labels: Path, name: str) -> Path:
    """Return a file of the newest report of an output.

    Raises:
        SystemExit: there is none.
    """
    reports = sorted(labels.glob(f"reports/*/{name}"))
    if not reports:
        sys.exit(f"no report in {labels}: run make demo")
    return reports[-1]


def has_screen() -> bool:
    """Return whether a browser can be opened here."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def main() -> None:
    """Run the command line: one argument, the demo's folder."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.show_demo FOLDER")
    print("Look first at")
    for labels, (words, name) in FIRST.items():
        path = newest_report(Path(sys.argv[1]) / labels, name).resolve()
        print(f"  {path}  ({words})")
        if has_screen():
            webbrowser.open(path.as_uri())


if __name__ == "__main__":
    main()
