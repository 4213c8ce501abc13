"""From photographs of a scene to aligned depth, by a small recipe's own labels and no truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redepth.config import load_recipe
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.images.collection import list_images
from redepth.labelling.labeller import label_shard, load_labeller
from redepth.scenes.scene import Split
from redepth.scenes.views import render_views
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.store.reader import Labels, open_labels
from redepth.store.shards import write_shard
from tests.exports.posed_samples import NAMES, SIZE_PX, TURNS_DEG, model_of
from tests.exports.test_posed_formats import read_colmap_array


@pytest.mark.parametrize("recipe", ["mini-metric", "mini-coarse"])
def test_a_recipe_s_labels_come_out_in_the_scene_s_unit(recipe: str, tmp_path: Path) -> None:
    """The scene is twice as large as its labels can know: alignment has to find that."""
    views = render_views("solids", 3, SIZE_PX, Split.HELD_OUT, TURNS_DEG)
    for name, view in zip(NAMES, views, strict=True):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(view.scene.rgb_hw3).save(tmp_path / "images" / name)
    model_of(views, scale=2.0).write_text(tmp_path / "sparse")
    labels = labelled(recipe, tmp_path)
    settings = {"colmap": str(tmp_path / "sparse"), "min_inlier_share": 0.4}
    request = ExportRequest("colmap-depth", ("refined",), settings=settings)
    exported = export_labels(labels, str(tmp_path / "out"), request)
    assert exported.remarks["aligned"].startswith("5 of 5")
    for name, view in zip(NAMES, views, strict=True):
        depth_hw = read_colmap_array(tmp_path / "out/stereo/depth_maps" / f"{name}.geometric.bin")
        known = depth_hw > 0
        errors = np.abs(depth_hw[known] / (2 * view.scene.depth_hw[known]) - 1)
        assert np.median(errors) < 0.15


def labelled(recipe_name: str, folder: Path) -> Labels:
    recipe, out = load_recipe(recipe_name), str(folder / "labels")
    labeller = load_labeller(recipe.labels)
    plan = plan_labels(list_images(str(folder / "images")), out, recipe)
    begin(out, recipe, labeller.cards)
    assert plan.manifest is not None
    for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
        write_shard(out, shard, label_shard(labeller, shard.images), recipe.labels.storage)
    return open_labels(out)
