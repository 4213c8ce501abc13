"""Write docs/training.md and a page for each training method, from the methods' settings models.

python -m scripts.write_training_reference docs
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from redepth.training import CONFIGS, METHODS
from redepth.training.method import TrainingMethod
from scripts.write_recipe_reference import sections, table

MARK = "<!-- Written by scripts/write_training_reference.py (make docs); do not edit. -->"
# The guide to a method, where its page has another name.
GUIDES = {"mini": "mini-models", "distilled": "distillation"}
HEAD = f"""\
# How do I train a model?

{MARK}

`redepth train METHOD` trains a refiner, or one of the small models that come with redepth. The
settings of a training are one YAML file; `--set` changes one of them, as for recipes. If you leave
a setting out you get its default, which is the paper's; an unknown setting is an error.

```bash
redepth train betterdepth --out refiner/                         # the method's default config
redepth train betterdepth --out refiner/ --config refiner.yaml   # a file of your own
redepth train betterdepth --out refiner/ --set optimiser.learning_rate=1e-4
redepth train betterdepth --out refiner/ --resume                # after an interruption
redepth train betterdepth --out refiner/ --show                  # print the settings, train nothing
```

A training writes its settings to `settings.yaml` in `--out`; give that file to `--config` to train
the same model again. Checkpoints record the settings too. If you resume with other settings,
redepth refuses and names each one that differs. Settings under `run` may change. On one kind of
machine, a training that was interrupted and resumed ends with the same bits as one that was not.
"""


def training_pages() -> dict[str, str]:
    """Return the pages as file name -> Markdown: an overview, and the settings of each method."""
    pages = {f"training-{name}.md": _page(method) for name, method in METHODS.items()}
    return {"training.md": "\n".join([HEAD, _methods(), _shipped()]), **pages}


def _page(method: TrainingMethod) -> str:
    command = f"`redepth train {method.name}`"
    name = _guide(method.name)
    guide = f"How to use them: [training](training.md) and [{name}]({name}.md)."
    head = f"# Which settings does {command} have?\n\n{MARK}\n\n{guide}\n"
    return "\n".join([head, *sections("", method.settings, command)])


def _methods() -> str:
    rows = [
        (
            f"[`{name}`](training-{name}.md)",
            inspect.cleandoc(method.settings.__doc__ or "").splitlines()[0],
            f"[{_guide(name)}]({_guide(name)}.md)",
        )
        for name, method in METHODS.items()
    ]
    return f"## Methods and their settings\n\n{table(('method', 'what it does', 'guide'), rows)}"


def _guide(name: str) -> str:
    return GUIDES.get(name, name)


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
    """Run the command line: one argument, the folder of the pages."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.write_training_reference docs")
    for name, text in training_pages().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
