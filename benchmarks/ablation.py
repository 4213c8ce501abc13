"""What cheaper settings of Re-Depth Anything keep of its gain on scenes with exact depth, and cost.

    python -m benchmarks.ablation --out FOLDER --scenes faces=12 --scenes coins=4
    python -m benchmarks.ablation --out FOLDER --split held-out --scenes faces=20 \\
        --variant full --variant "20 steps: num_steps=20 token_learning_rate=0.006"

Variants are settings below `labels.refiner`, and `tiny_encoder` for the prior's; `full` are the
recipe's own, which every other one is compared with. One member each, one thread, on the CPU. What
is measured already is not measured again, so a run can be stopped at any time, and extended. It
prints a Markdown table of the variants that it was asked for; the last column counts the operations
of `redepth-anything` with the same settings, where the VAE outweighs the UNet. Settings are chosen
on the tuning split; the held-out one says what they are worth. How a map is scored: docs/lab.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from redepth.evaluation.tables import finite_json
from redepth.lab.ablation import (
    FIGURES,
    AblationBench,
    Cost,
    Trial,
    Variant,
    change,
    kept_gain,
    mean_steps,
)
from redepth.metrics.bootstrap import RatioInterval
from redepth.metrics.paired import PairedChange
from redepth.scenes.scene import Split

RECIPE = "mini"
TINY = "tiny_encoder"
FULL = Variant("full")
VARIANTS = (
    FULL,
    Variant("40 steps", ("num_steps=40",)),
    Variant("20 steps", ("num_steps=20",)),
    Variant("rate 0.006", ("token_learning_rate=0.006",)),
    Variant("tiny encoder", tiny_encoder=True),
)
HEAD = (
    "variant", "AbsRel [95 %]", "better", "normals [95 %]", "edges F1", "gain kept [95 %]", "steps",
    "GFLOP a member", "of full", "CPU s a member", "of full", "full size: of full",
)  # fmt: skip


class Results:
    """Trials and costs of one split, kept in a file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        entries = [json.loads(line) for line in lines]
        self.trials = [_trial(entry["trial"]) for entry in entries if "trial" in entry]
        self.costs = {e["of"]: Cost(**e["cost"]) for e in entries if "cost" in e}

    def of(self, variant: Variant) -> list[Trial]:
        """Return the trials of a variant."""
        return [trial for trial in self.trials if trial.variant == _key(variant)]

    def add_trial(self, trial: Trial) -> None:
        """Keep a trial."""
        self.trials.append(trial)
        self._append({"trial": finite_json(asdict(trial))})

    def add_cost(self, variant: Variant, cost: Cost) -> None:
        """Keep what a step of a variant costs."""
        self.costs[_key(variant)] = cost
        self._append({"of": _key(variant), "cost": asdict(cost)})

    def _append(self, entry: dict[str, object]) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")


def measure(
    results: Results, variant: Variant, scenes: Sequence[tuple[str, int]], split: Split, turns: int
) -> None:
    """Measure what is missing of a variant: its cost, and its scenes."""
    done = {(trial.family, trial.seed) for trial in results.of(variant)}
    missing = [scene for scene in scenes if scene not in done]
    if not missing and _key(variant) in results.costs:
        return
    bench = AblationBench(RECIPE, replace(variant, name=_key(variant)))
    if _key(variant) not in results.costs:
        results.add_cost(variant, bench.cost(turns))
    for family, seed in missing:
        results.add_trial(bench.measure(family, seed, split))


def table(results: Results, variants: Sequence[Variant], scenes: Sequence[tuple[str, int]]) -> str:
    """Return a Markdown table, a row a variant."""
    full = _among(results.of(FULL), scenes)
    rows = [_row(results, variant, full, scenes) for variant in variants]
    lines = (HEAD, ("---",) * len(HEAD), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(
    results: Results, variant: Variant, full: Sequence[Trial], scenes: Sequence[tuple[str, int]]
) -> tuple[str, ...]:
    trials = _among(results.of(variant), scenes)
    cost, of_full = results.costs[_key(variant)], results.costs[_key(FULL)]
    steps, full_steps = mean_steps(trials), mean_steps(full)
    abs_rel, normals, edges = (change(trials, figure) for figure in FIGURES)
    return (
        variant.name,
        _interval(abs_rel),
        "" if abs_rel is None else f"{abs_rel.share_better:.0%}",
        _interval(normals),
        "" if edges is None else f"{edges.change:+.1%}",
        _ratio(kept_gain(trials, full)),
        f"{steps:.1f}",
        f"{cost.flops * steps / 1e9:.1f}",
        f"{cost.flops * steps / (of_full.flops * full_steps):.2f}",
        f"{cost.cpu_seconds * steps:.2f}",
        f"{cost.cpu_seconds * steps / (of_full.cpu_seconds * full_steps):.2f}",
        f"{cost.flops_full_size * steps / (of_full.flops_full_size * full_steps):.2f}",
    )


def _interval(found: PairedChange | None) -> str:
    if found is None:
        return ""
    return f"{found.change:+.1%} [{found.low * 100:+.1f}, {found.high * 100:+.1f}]"


def _ratio(found: RatioInterval | None) -> str:
    return "" if found is None else f"{found.ratio:.0%} [{found.low:.0%}, {found.high:.0%}]"


def _among(trials: Sequence[Trial], scenes: Sequence[tuple[str, int]]) -> list[Trial]:
    return [trial for trial in trials if (trial.family, trial.seed) in set(scenes)]


def _key(variant: Variant) -> str:
    """Return what names a variant in the file: its settings, so that its name may change."""
    return " ".join((*variant.changes, *([TINY] if variant.tiny_encoder else [])))


def _trial(entry: dict[str, object]) -> Trial:
    trial = Trial(**entry)  # type: ignore[arg-type]
    refined = None if trial.refined is None else _finite(trial.refined)
    return Trial(trial.variant, trial.family, trial.seed, _finite(trial.coarse), refined,
                 trial.num_steps)  # fmt: skip


def _finite(figures: dict[str, float]) -> dict[str, float]:
    """Bring back NaN, which JSON holds as null."""
    return {name: math.nan if value is None else value for name, value in figures.items()}


def parse_variant(text: str) -> Variant:
    """Return a variant by its name, or one that is written out: `NAME: setting=value ...`.

    Raises:
        argparse.ArgumentTypeError: no variant has the name, and it is not written out.
    """
    name, written_out, settings = text.partition(":")
    known = {variant.name: variant for variant in VARIANTS}
    if written_out:
        changes = settings.split()
        others = tuple(change for change in changes if change != TINY)
        return Variant(name.strip(), others, TINY in changes)
    if text not in known:
        raise argparse.ArgumentTypeError(f"no variant {text!r}; known: {', '.join(known)}")
    return known[text]


def parse_scenes(text: str) -> list[tuple[str, int]]:
    """Return the first scenes of a family, of `FAMILY=COUNT`."""
    family, _, count = text.partition("=")
    return [(family, seed) for seed in range(int(count))]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", type=Split, choices=list(Split), default=Split.TUNING)
    parser.add_argument("--scenes", type=parse_scenes, action="append", required=True)
    parser.add_argument("--variant", type=parse_variant, action="append")
    parser.add_argument("--turns", type=int, default=5, help="timings of some steps; best counts")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = Results(arguments.out / f"ablation-{arguments.split.value}.jsonl")
    scenes = [scene for family in arguments.scenes for scene in family]
    variants = list(dict.fromkeys((FULL, *(arguments.variant or VARIANTS))))
    for variant in variants:
        measure(results, variant, scenes, arguments.split, arguments.turns)
        print(f"{variant.name}: measured", file=sys.stderr, flush=True)
    print(f"{len(scenes)} {arguments.split.value} scenes\n\n{table(results, variants, scenes)}")


if __name__ == "__main__":
    main()
