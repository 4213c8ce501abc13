"""The student's network, new or gone on with, and the folder that it is saved as."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import UNet2DModel

from redepth.errors import ConfigError
from redepth.refiners import triage as triage_file
from redepth.refiners.distilled.familiar import FamiliarImages
from redepth.refiners.distilled.gain import FILE_NAME, Gain
from redepth.refiners.distilled.loading import UNET
from redepth.refiners.distilled.pipeline import NUM_CHANNELS, DistilledPipeline
from redepth.refiners.triage import Triage
from redepth.training.distilled.settings import DistilledTraining, Network
from redepth.training.refiner_parts import half
from redepth.weights import reading

_NORM_GROUPS = 8


def first_network(settings: DistilledTraining) -> UNet2DModel:
    """Return the network that a training starts from: of `init`, or made from the seed.

    Raises:
        ConfigError: `init` names no student.
    """
    if settings.init is None:
        return new_network(settings.network, settings.seed)
    folder = Path(settings.init.folder) / UNET
    if not folder.is_dir():
        raise ConfigError(
            f"{settings.init.folder} is no student (it has no {UNET}/): init.folder takes the "
            "folder model/ that redepth distill or redepth train distilled writes"
        )
    with reading("a student", folder):
        return UNet2DModel.from_pretrained(
            folder, variant=settings.init.variant, dtype=torch.float32, local_files_only=True
        )


def new_network(how: Network, seed: int) -> UNet2DModel:
    """Make a network from a seed. It begins by changing nothing: its last layer is zero."""
    levels = len(how.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UNet2DModel(
            in_channels=NUM_CHANNELS * how.patch_px**2,
            out_channels=how.patch_px**2,
            block_out_channels=how.channels,
            layers_per_block=how.layers_per_level,
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
            norm_num_groups=_NORM_GROUPS,
            add_attention=False,
        )
    for parameter in network.conv_out.parameters():
        torch.nn.init.zeros_(parameter)
    return network


def save_student(
    network: UNet2DModel,
    images: FamiliarImages,
    gain: Gain,
    triage: Triage,
    folder: Path,
    variant: str,
) -> None:
    """Write a student as a diffusers pipeline folder, its network in half precision."""
    pipeline = DistilledPipeline(half(network))
    pipeline.save_pretrained(folder, safe_serialization=True, variant=variant)
    images.save(folder)
    for name, values in ((FILE_NAME, gain), (triage_file.FILE, triage)):
        (folder / name).write_text(values.model_dump_json(indent=2) + "\n", encoding="utf-8")
