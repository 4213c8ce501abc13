"""What a collection of a hundred million photographs comes to: objects, requests, bytes, GPU hours.

Run `python -m benchmarks.cost_model`; it prints the tables of docs/results/scale.md. Nothing is
measured here: counts are those of a shard (a test holds them to the store), bytes are those of
`benchmarks.store_codecs`, seconds an image are the recipes' own, and prices are named below.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import Path

from redepth.config import load_recipe
from redepth.costing.estimate import USUAL_SHARE, known_speed
from redepth.distillation.recipes import student_recipe
from redepth.flops.counted import DISTILLED_UNET

NUM_IMAGES = 100_000_000
SHARD_SIZES = (32, 128, 512)
OBJECTS_A_SHARD = 10  # four arrays of two objects, the group, the fragment
LISTS_A_SHARD = 3
HEADS_A_SHARD = 2
# 32 maps of 518 x 518 px: coarse and refined, spread and confidence (benchmarks.store_codecs).
MB_AN_IMAGE = {"float32": (2 * 22.03 + 13.0 + 6.2) / 32, "float16": (2 * 7.98 + 13.0 + 6.2) / 32}
RAW_MB_AN_IMAGE = 518 * 518 * (4 + 4 + 2 + 2) / 1e6  # as the writer holds them

# List prices of a large provider's standard storage, in USD; enter your own.
PUT_OR_LIST = 5e-6
GET_OR_HEAD = 0.4e-6
GB_MONTH = 0.021
GPU_HOUR = 2.0

MILLION = 1_000_000
TEACHER = "redepth-anything-fast"
DEVICE = "NVIDIA H200"
FLOPS_A_SECOND = 67e12  # its data sheet's, in float32
# Forward and backward are three passes, of the steps and the batch that distilled.yaml takes.
TRAINING_PASSES = 3 * 20_000 * 16


def shard_table() -> Iterator[str]:
    yield "| images a shard | shards | objects | PUT, LIST | GET, HEAD | USD | writer, MB |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for size in SHARD_SIZES:
        shards = ceil(NUM_IMAGES / size)
        written = shards * (OBJECTS_A_SHARD + LISTS_A_SHARD)
        read = NUM_IMAGES + shards * HEADS_A_SHARD
        price = written * PUT_OR_LIST + read * GET_OR_HEAD
        memory_mb = size * RAW_MB_AN_IMAGE
        yield (
            f"| {size} | {shards / 1e6:.2f} M | {shards * OBJECTS_A_SHARD / 1e6:.1f} M | "
            f"{written / 1e6:.1f} M | {read / 1e6:.1f} M | {price:,.0f} | {memory_mb:.0f} |"
        )


def bytes_table() -> Iterator[str]:
    yield "| dtype | MB an image | TB | USD a month |"
    yield "|---|---:|---:|---:|"
    for dtype, megabytes in MB_AN_IMAGE.items():
        terabytes = NUM_IMAGES * megabytes / 1e6
        yield f"| {dtype} | {megabytes:.2f} | {terabytes:.0f} | {terabytes * 1e3 * GB_MONTH:,.0f} |"


def hours_table() -> Iterator[str]:
    yield "| recipe | s an image | GPU hours | GPUs for a year | USD |"
    yield "|---|---:|---:|---:|---:|"
    for name in ("redepth-anything-fast", "redepth-anything"):
        seconds = load_recipe(name).run.cost.seconds_per_image or 0.0
        hours = NUM_IMAGES * seconds / 3600
        yield (
            f"| {name} | {seconds:g} | {hours / 1e6:.2f} M | {hours / 8766:.0f} | "
            f"{hours * GPU_HOUR / 1e6:.1f} M |"
        )


def million_table() -> Iterator[str]:
    """What a million images take where a student labels them; see docs/distillation.md."""
    teacher = load_recipe(TEACHER)
    teacher_s = teacher.run.cost.seconds_per_image or 0.0
    student = student_recipe(teacher, Path("student/model"))
    basis = known_speed(student.labels, DEVICE)
    assert basis is not None, "the FLOPs of the default network are counted"
    training_s = TRAINING_PASSES * DISTILLED_UNET.at(384 * 512) / (FLOPS_A_SECOND * USUAL_SHARE)
    yield "| way | images of the teacher | GPU days: teacher | training | student | together |"
    yield "|---|---:|---:|---:|---:|---:|"
    yield f"| {TEACHER} | 100% | {days(MILLION * teacher_s)} | | | {days(MILLION * teacher_s)} |"
    for distilled_from, budget in ((0.01, 0.0), (0.02, 0.0), (0.01, 0.01), (0.02, 0.03)):
        name = f"cascade, budget {budget:.0%}" if budget else "student"
        asked = MILLION * (distilled_from + budget) * teacher_s
        labelled = MILLION * basis.seconds
        yield (
            f"| {name} | {distilled_from:.0%}{f' + {budget:.0%}' if budget else ''} | "
            f"{days(asked)} | {days(training_s)} | {days(labelled)} | "
            f"{days(asked + training_s + labelled)} |"
        )


def days(seconds: float) -> str:
    return f"{seconds / 86400:.1f}"


def main() -> None:
    for table in (shard_table, bytes_table, hours_table, million_table):
        print("\n" + "\n".join(table()))


if __name__ == "__main__":
    main()
