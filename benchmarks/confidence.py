"""What cues know of the error, and whether intervals hold, on rendered scenes with exact depth.

    python -m benchmarks.confidence --out confidence/ --scale 2
    python -m benchmarks.confidence --out intervals/ --scale 5 --intervals-only
    python -m benchmarks.confidence --out members/ --recipe mini-fast --set \
        labels.refiner.num_members=2 --scale 0.4

Labels tuning scenes, held-out scenes of the same families and scenes of others with one recipe and
all probes; fits every set of cues to the tuning scenes and tests it on the held-out ones; then fits
intervals by each guarantee and measures coverage on both. What is labelled is not labelled again.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from redepth.confidence.bounds import factors_at
from redepth.confidence.cues import CUES
from redepth.confidence.probability import confidence_by_cues, sum_of_terms
from redepth.confidence.shift import mean_log_cues, shifts_of
from redepth.config import LabelSettings, Recipe, load_recipe
from redepth.errors import ConfigError
from redepth.evaluation.calibrate import (
    DEFAULT_CUES,
    GROUPINGS,
    Calibration,
    CalibrationSettings,
    calibrate,
)
from redepth.evaluation.coverage import Coverage, coverage_of
from redepth.evaluation.evaluate import (
    BoundsSample,
    EvaluationInput,
    ImageScores,
    score_labels,
)
from redepth.evaluation.pictures import draw_coverage
from redepth.evaluation.tables import markdown_table
from redepth.images.collection import list_images
from redepth.labelling.labeller import Labeller, label_shard, load_labeller
from redepth.metrics.alignments import Alignment
from redepth.metrics.bootstrap import bootstrap_mean
from redepth.metrics.sparsification import Sparsification, sparsify
from redepth.scenes.collection import LIST_NAME, write_collection
from redepth.scenes.scene import Split
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from redepth.types import ImageRef

RECIPE = "mini-coarse"
PROBES = (
    "labels.probes={texture: true, mirror: true, size_px: 48, "
    "model: {preset: mini-photo, size_px: 64}}"
)
SIZE_PX, PER_SHARD = 64, 8
WITHIN = 1.05
FAMILIES = ("faces", "coins", "dunes", "cloth", "leaves")
SHIFTED = ("lumps", "pebbles", "solids", "fences", "wires", "plants")

_GEOMETRY = ("slope", "slope_near", "slope_wide", "far", "ends", "border")
CUE_SETS: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "slope": (("slope",), False),
    "spread": (("spread",), False),
    "drift": (("drift",), False),
    "mirror": (("mirror_wide",), False),
    "other size": (("size_wide",), False),
    "other model": (("model_wide",), False),
    "texture": (("texture_wide",), False),
    "spread, slope, drift": (("spread", "slope", "drift"), False),
    "geometry": (_GEOMETRY, False),
    "geometry, products": (_GEOMETRY, True),
    "geometry, texture, products": ((*_GEOMETRY, "texture", "texture_wide"), True),
    "geometry, mirror, products": ((*_GEOMETRY, "mirror_near", "mirror_wide"), True),
    "geometry, other size, products": ((*_GEOMETRY, "size_near", "size_wide"), True),
    "geometry, other model, products": ((*_GEOMETRY, "model_near", "model_wide"), True),
    "geometry, spread, products": ((*_GEOMETRY, "spread_near", "spread_wide"), True),
    "default (one member)": (tuple(c for c in DEFAULT_CUES if "spread" not in c), True),
    "default (two members)": (DEFAULT_CUES, True),
}


@dataclass(frozen=True, slots=True)
class Collection:
    """Scenes that are labelled together."""

    name: str
    families: tuple[str, ...]
    count: int
    split: Split


def collections(scale: float) -> tuple[Collection, ...]:
    """Return the collections, `scale` times as many scenes as of record."""
    return (
        Collection("tuning", FAMILIES, round(40 * scale), Split.TUNING),
        Collection("held_out", FAMILIES, round(20 * scale), Split.HELD_OUT),
        Collection("shifted", SHIFTED, round(8 * scale), Split.HELD_OUT),
    )


def label(own: Collection, out: Path, recipe: Recipe, num_processes: int) -> None:
    """Render a collection and label it, in shards, on some processes; nothing is done twice."""
    scenes, labels = out / own.name, out / f"{own.name}_labels"
    if not (scenes / LIST_NAME).is_file():
        write_collection(scenes, own.families, own.count, SIZE_PX, own.split)
    refs = list(list_images(str(scenes / LIST_NAME)))
    begin(str(labels), recipe, _labeller(recipe.labels).cards)
    done = set(open_labels(str(labels)))
    shards = [refs[first : first + PER_SHARD] for first in range(0, len(refs), PER_SHARD)]
    jobs = [(n, shard) for n, shard in enumerate(shards) if shard[0].id not in done]
    with ProcessPoolExecutor(num_processes, multiprocessing.get_context("spawn")) as pool:
        futures = [
            pool.submit(_label_shard, recipe.labels, str(labels), n, shard) for n, shard in jobs
        ]
        for future in futures:
            future.result()


def _label_shard(settings: LabelSettings, out: str, number: int, refs: Sequence[ImageRef]) -> None:
    name = f"{number:016x}"
    labels = list(label_shard(_labeller(settings), refs))
    write_shard(out, ShardPlan(name, name, tuple(refs)), labels, settings.storage)


_loaded: dict[str, Labeller] = {}  # of a worker process: models are loaded once


def _labeller(settings: LabelSettings) -> Labeller:
    digest = settings.digest()
    if digest not in _loaded:
        _loaded[digest] = load_labeller(settings)
    return _loaded[digest]


def score(own: Collection, out: Path, cues: tuple[str, ...]) -> tuple[ImageScores, ...]:
    """Measure a collection's labels with some cues, aligned by the paper's protocol."""
    asked = EvaluationInput(str(out / f"{own.name}_labels"), out / own.name, "scenes")
    labels, pairing = asked.open()
    scores = score_labels(labels, pairing, "scenes", Alignment.REDEPTH, cues=cues)
    return tuple(image for image in scores.images if image.pixels is not None)


def settings_of(name: str) -> CalibrationSettings:
    """Return what is fitted for a set of cues."""
    cues, products = CUE_SETS[name]
    return CalibrationSettings(WITHIN, cues, products)


def curves(
    tuning: Sequence[ImageScores], tested: Sequence[ImageScores], name: str
) -> list[Sparsification]:
    """Fit a set of cues to tuning images and order the pixels of others by it."""
    mapping = calibrate(tuning, settings_of(name)).mapping
    found = []
    for image in tested:
        assert image.pixels is not None, "chosen so"
        cues = {cue: values.astype(np.float64) for cue, values in image.pixels.cues.items()}
        found.append(sparsify(image.pixels.abs_rel_n, -confidence_by_cues(cues, mapping)))
    return found


def ranking_table(tuning: Sequence[ImageScores], held_out: Sequence[ImageScores]) -> str:
    """Return a table: AUSE on tuning halves and on held-out scenes, and the change to the slope."""
    slope = curves(tuning, held_out, "slope")
    rows = []
    for name in CUE_SETS:
        try:
            own = curves(tuning, held_out, name)
            chosen_on = curves(tuning[::2], tuning[1::2], name)
        except ConfigError:  # these labels do not have a cue: one member has no spread
            continue
        change = bootstrap_mean([a.ause - b.ause for a, b in zip(own, slope, strict=True)])
        rows.append(
            (
                name,
                f"{np.mean([c.ause for c in chosen_on]):.3f}",
                f"{np.mean([c.ause for c in own]):.3f}",
                f"{np.mean([c.aurg for c in own]):.3f}",
                f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]",
            )
        )
    head = ("cues", "AUSE, tuning", "AUSE, held out", "AURG, held out", "AUSE against slope [95 %]")
    return markdown_table(head, rows)


def interval_table(
    tuning: Sequence[ImageScores],
    tested: Mapping[str, Sequence[ImageScores]],
    cues: tuple[str, ...],
    out: Path,
) -> str:
    """Fit intervals of every guarantee on tuning scenes, and measure them on other collections."""
    rows = []
    for guarantee in GROUPINGS:
        fitted = calibrate(tuning, replace(CalibrationSettings(WITHIN, cues), guarantee=guarantee))
        own = fitted.intervals
        assert own is not None, "there are enough tuning scenes"
        for name, images in tested.items():
            covered = coverage_of([_bounded(image, fitted) for image in images], own.coverage)
            assert covered is not None, "all have intervals"
            (out / f"{name}-{guarantee}.png").write_bytes(draw_coverage(covered))
            means = [mean_log_cues(image.pixels.cues) for image in images if image.pixels]
            far = [shift for shift in shifts_of(own, means) if shift.is_shifted]
            rows.append((guarantee, name, *_coverage_cells(covered), f"{len(far)} of {len(cues)}"))
    head = ("guarantee", "scenes", "inside, pixels", "over images [95 %]", "images that reach it",
            "tenths, least to most", "by family, least to most", "mean width", "cues that differ",
            )  # fmt: skip
    return markdown_table(head, rows)


def _bounded(image: ImageScores, fitted: Calibration) -> ImageScores:
    """Return an image as if its label stored the fitted confidence and intervals."""
    sample, own = image.pixels, fitted.intervals
    assert sample is not None and own is not None, "chosen so"
    cues = {cue: values.astype(np.float64) for cue, values in sample.cues.items()}
    confidence_n = confidence_by_cues(cues, fitted.mapping)
    half_n = factors_at(confidence_n, own) * np.exp(sum_of_terms(cues, own.error))
    bounds = BoundsSample(
        np.isfinite(half_n), sample.error_n <= half_n, (2 * half_n).astype(np.float32)
    )
    confidence = confidence_n.astype(np.float32)
    return replace(image, pixels=replace(sample, confidence_n=confidence, bounds=bounds))


def _coverage_cells(found: Coverage) -> tuple[str, ...]:
    tenths = [row.coverage for row in found.by_confidence]
    families = [row.coverage for row in found.by_folder]
    over = found.over_images
    return (
        f"{found.whole.coverage:.1%}",
        f"{over.mean:.1%} [{over.low:.1%}, {over.high:.1%}]",
        f"{found.share_of_images:.0%}",
        f"{min(tenths):.1%} to {max(tenths):.1%}",
        f"{min(families):.1%} to {max(families):.1%}",
        f"{found.whole.width:.3f}",
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for scenes and labels")
    parser.add_argument("--recipe", default=RECIPE)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of scenes")
    parser.add_argument("--intervals-only", action="store_true", help="without the cue sets")
    given = parser.parse_args()
    recipe = load_recipe(given.recipe, [PROBES, *given.settings])
    chosen = collections(given.scale)
    for own in chosen:
        label(own, given.out, recipe, given.processes)
    cues, _ = CUE_SETS["default (one member)"]
    looked_at = cues if given.intervals_only else tuple(CUES)
    tuning, held_out, shifted = (score(own, given.out, looked_at) for own in chosen)
    print(f"{len(tuning)} tuning scenes, {len(held_out)} held out\n")
    if not given.intervals_only:
        print(ranking_table(tuning, held_out), flush=True)
    tested = {"held out": held_out, "shifted": shifted}
    print(f"\n{interval_table(tuning, tested, cues, given.out)}")


if __name__ == "__main__":
    main()
