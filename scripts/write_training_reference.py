"""Write docs/training.md, the reference of every setting of training, from the methods' models.

python -m scripts.write_training_reference docs/training.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from redepth.training import CONFIGS, METHODS
from scripts.write_recipe_reference import sections, table

HEAD = """\
# Training

<!-- Written by scripts/write_training_reference.py (make docs); do not edit. -->

`redepth train METHOD` trains a refiner, or the small models that come with redepth. Its settings
are one YAML file; `--set` changes one of them, as for recipes. A setting that is left out has the
default given here, which is the paper's; an unknown one is an error.

```bash
redepth train betterdepth --out refiner/                         # the method's default config
redepth train betterdepth --out refiner/ --config refiner.yaml   # a file of your own
redepth train betterdepth --out refiner/ --set optimiser.learning_rate=1e-4
redepth train betterdepth --out refiner/ --resume                # after an interruption
redepth train betterdepth --out refiner/ --show                  # print the settings, train nothing
```

A training writes its settings to `settings.yaml` in `--out`, which `--config` takes. Checkpoints
record them as well: a resume with other settings is refused, and each that differs is named.
Settings under `run` may change. On one kind of machine, a training that was interrupted and resumed
ends with the bits of one that was not.

How the methods work and what they gain: [betterdepth.md](betterdepth.md),
[sharpdepth.md](sharpdepth.md), [lab.md](lab.md#training-the-mini-models).
"""


def training_reference() -> str:
    """Return docs/training.md as Markdown."""
    methods = [
        section
        for method in METHODS.values()
        for section in sections("", method.settings, f"`redepth train {method.name}`")
    ]
    return "\n".join([HEAD, _shipped(), *methods])


def _shipped() -> str:
    defaults = {method.default_config for method in METHODS.values()}
    rows = [
        (
            f"[`{name}`](../configs/training/{name}.yaml)",
            f"`{CONFIGS.values(name, ())['method']}`{', default' if name in defaults else ''}",
            use,
        )
        for name, use in CONFIGS.shipped().items()
    ]
    return f"## Configs that come with redepth\n\n{table(('config', 'method', 'what'), rows)}"


def main() -> None:
    """Run the command line: one argument, the page to write."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.write_training_reference docs/training.md")
    Path(sys.argv[1]).write_text(training_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
