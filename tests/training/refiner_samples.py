"""A refiner, its data and its coarse maps, small enough to train in a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from redepth.datasets import dataset_named
from redepth.datasets.sample import Samples
from redepth.scenes.collection import write_collection
from redepth.scenes.scene import Split
from redepth.training.examples.samples import CoarseMaps
from redepth.training.examples.teacher_pictures import TeacherPicture, TeacherPictures
from redepth.types import CoarseDepth, DepthKind

MINI = Path(__file__).resolve().parents[2] / "redepth" / "models" / "mini"


def write_stable_diffusion(folder: Path, num_conditions: int = 0) -> Path:
    """Write a tiny text-to-image pipeline: 4 latent channels, 4 times smaller."""
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=8, in_channels=4 * (1 + num_conditions), out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        cross_attention_dim=16, attention_head_dim=2,
    ).save_pretrained(folder / "unet")  # fmt: skip
    AutoencoderKL(
        block_out_channels=(8, 8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    ).save_pretrained(folder / "vae")  # fmt: skip
    tokenizer = CLIPTokenizer.from_pretrained(MINI / "prior" / "tokenizer")
    tokenizer.save_pretrained(folder / "tokenizer")
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=77,
    )  # fmt: skip
    CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    DDIMScheduler(beta_schedule="scaled_linear").save_pretrained(folder / "scheduler")
    return folder


def write_scenes(folder: Path, count: int = 3) -> Path:
    """Write a few scenes of 32 px."""
    write_collection(folder, ("lumps", "solids"), count, 32, Split.TRAIN)
    return folder


def blurred_truth(data: Samples) -> CoarseMaps:
    """Return coarse maps that are the truth at a quarter of its size."""
    numbers = {image: number for number, image in enumerate(data.images)}

    def coarse(image: str) -> CoarseDepth:
        found = data.read(numbers[image])
        disparity = 1.0 / np.where(found.truth.mask_hw, found.truth.map_hw, 1.0)
        small = disparity[::4, ::4].repeat(4, 0).repeat(4, 1).astype(np.float32)
        return CoarseDepth(np.ascontiguousarray(small), DepthKind.AFFINE_DISPARITY)

    return coarse


class Outputs:
    """Outputs of `redepth label` for folders of scenes: the coarse maps are their blurred truth."""

    def coarse_maps(self, url: str, images: Sequence[str]) -> CoarseMaps:
        return blurred_truth(open_scenes(Path(url)))

    def photographs(self, url: str) -> tuple[Samples, CoarseMaps]:
        data = open_scenes(Path(url))
        return data, blurred_truth(data)

    def teacher(self, urls: Sequence[str], allow: Sequence[str]) -> TeacherPictures:
        return TaughtScenes([open_scenes(Path(url)) for url in urls])


class TaughtScenes:
    """Scenes whose teacher knows the truth; the coarse maps are its blur."""

    recipes = (("the truth", "0123456789ab" + 52 * "0"),)
    models = ("truth: Apache-2.0",)
    is_non_commercial = False
    is_metric = False

    def __init__(self, folders: Sequence[Samples]) -> None:
        self._places = {f"{i}-{n}": (data, n) for i, data in enumerate(folders)
                        for n in range(len(data.images))}  # fmt: skip
        self.ids = sorted(self._places)

    def read(self, number: int) -> TeacherPicture:
        data, at = self._places[self.ids[number]]
        found = data.read(at)
        disparity_hw = np.where(found.truth.mask_hw, 1.0 / found.truth.map_hw, 0.0)
        coarse_hw = blurred_truth(data)(data.images[at]).map_hw
        return TeacherPicture(
            self.ids[number], found.rgb_hw3, coarse_hw, disparity_hw.astype(np.float32),
            found.truth.mask_hw.astype(np.float32),
        )  # fmt: skip


def open_scenes(folder: Path) -> Samples:
    """Open a folder that `write_scenes` wrote."""
    return dataset_named("scenes").open(folder)
