"""The coarse model: mini from a seed, and the same bytes through a folder as the hub gives it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage.data import astronaut
from skimage.transform import resize
from transformers import DepthAnythingForDepthEstimation

from redepth.coarse.depth_anything.mini import build_mini_depth_anything, save_mini_estimator
from redepth.coarse.depth_anything.network import DepthAnything
from redepth.coarse.estimator import (
    TokenDepthEstimator,
    TokenMaps,
    load_estimator,
    load_token_estimator,
)
from redepth.coarse.part import Coarse, Rendering
from redepth.errors import ConfigError
from redepth.settings import Weights
from redepth.types import ByteImage, CoarseDepth, DepthKind

CPU = torch.device("cpu")
SEEDED = Coarse(preset="mini", weights=Weights(seed=0), size_px=128)


@pytest.fixture(scope="module")
def photograph() -> ByteImage:
    rgb_hw3: ByteImage = (resize(astronaut(), (88, 128)) * 255).astype(np.uint8)
    return rgb_hw3


@pytest.fixture(scope="module")
def estimator() -> TokenDepthEstimator:
    return load_token_estimator(SEEDED, CPU)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mini-depth-anything")
    save_mini_estimator(path, seed=0)
    return path


def from_folder(path: Path, **weights: str) -> TokenDepthEstimator:
    settings = Coarse(preset="mini", weights=Weights(folder=str(path), **weights), size_px=128)
    return load_token_estimator(settings, CPU)


def tokens_of(coarse: CoarseDepth) -> TokenMaps:
    assert isinstance(coarse.features, TokenMaps)
    return coarse.features


def test_map_is_a_varied_positive_disparity(
    estimator: DepthAnything, photograph: ByteImage
) -> None:
    coarse = estimator.estimate(photograph)
    assert coarse.kind is DepthKind.AFFINE_DISPARITY
    assert coarse.map_hw.shape == photograph.shape[:2]
    assert 0.4 < coarse.map_hw.min() < coarse.map_hw.max() < 30
    assert coarse.map_hw.std() > 0.2


def test_map_depends_on_the_picture(estimator: DepthAnything, photograph: ByteImage) -> None:
    mirrored = np.ascontiguousarray(photograph[:, ::-1])
    difference = estimator.estimate(photograph).map_hw - estimator.estimate(mirrored).map_hw
    assert np.abs(difference).max() > 0.1


@pytest.mark.parametrize("seed", range(4))
def test_no_seed_gives_a_flat_map(seed: int, photograph: ByteImage) -> None:
    settings = Coarse(preset="mini", weights=Weights(seed=seed))
    map_hw = load_token_estimator(settings, CPU).estimate(photograph).map_hw
    assert map_hw.min() > 0.4
    assert map_hw.std() > 0.2


def test_agrees_with_the_library_run_whole(estimator: DepthAnything, photograph: ByteImage) -> None:
    model = build_mini_depth_anything(seed=0)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = ((photograph / 255.0 - mean) / std).astype(np.float32).transpose(2, 0, 1)
    with torch.no_grad():
        expected = model(torch.from_numpy(pixels)[None]).predicted_depth[0].numpy()
    np.testing.assert_allclose(estimator.estimate(photograph).map_hw, expected, rtol=1e-5)


def test_same_picture_same_bytes(estimator: DepthAnything, photograph: ByteImage) -> None:
    first, second = (estimator.estimate(photograph).map_hw.tobytes() for _ in range(2))
    assert first == second


def test_token_maps_have_the_shapes_of_the_grid(
    estimator: DepthAnything, photograph: ByteImage
) -> None:
    tokens = tokens_of(estimator.estimate(photograph))
    assert tokens.grid_hw == (11, 16)
    assert [tuple(patches.shape) for patches in tokens.patch_tokens] == [(1, 176, 96)] * 4
    assert [tuple(klass.shape) for klass in tokens.class_tokens] == [(1, 1, 96)] * 4


def test_tokens_are_normalised_by_the_encoders_final_norm(
    estimator: DepthAnything, photograph: ByteImage
) -> None:
    for patches in tokens_of(estimator.estimate(photograph)).patch_tokens:
        assert patches.mean(dim=-1).abs().max() < 1e-4
        assert (patches.std(dim=-1, unbiased=False) - 1).abs().max() < 1e-3


def test_tokens_can_be_optimised(estimator: DepthAnything, photograph: ByteImage) -> None:
    tokens = tokens_of(estimator.estimate(photograph))
    leaves = [patches.clone().requires_grad_(True) for patches in tokens.patch_tokens]
    decoder = estimator.new_decoder()
    decoder(leaves, tokens.class_tokens, tokens.grid_hw).sum().backward()
    for leaf in leaves:
        assert leaf.grad is not None
        assert leaf.grad.abs().max() > 0
    without_gradient = [name for name, p in decoder.named_parameters() if p.grad is None]
    # The deepest fusion layer has nothing to merge with: its first residual is in the checkpoint,
    # but not on the way.
    assert all("fusion_stage.layers.0.residual_layer1" in name for name in without_gradient)


def test_decoder_gives_the_coarse_map(estimator: DepthAnything, photograph: ByteImage) -> None:
    coarse = estimator.estimate(photograph)
    tokens = tokens_of(coarse)
    with torch.no_grad():
        raw = estimator.new_decoder()(tokens.patch_tokens, tokens.class_tokens, tokens.grid_hw)
    assert raw.shape == (1, 88, 128)
    np.testing.assert_array_equal(raw[0].numpy(), coarse.map_hw)


def test_decoder_takes_a_batch_of_members(estimator: DepthAnything, photograph: ByteImage) -> None:
    tokens = tokens_of(estimator.estimate(photograph))
    decoder = estimator.new_decoder()
    members = [torch.cat([patches, patches + 0.1]) for patches in tokens.patch_tokens]
    with torch.no_grad():
        both = decoder(members, tokens.class_tokens, tokens.grid_hw)
        second = decoder([m[1:] for m in members], tokens.class_tokens, tokens.grid_hw)
    assert both.shape == (2, 88, 128)
    torch.testing.assert_close(both[1:], second)


def test_every_decoder_starts_afresh(estimator: DepthAnything, photograph: ByteImage) -> None:
    before = estimator.estimate(photograph).map_hw
    spoilt = estimator.new_decoder()
    assert all(parameter.requires_grad for parameter in spoilt.parameters())
    with torch.no_grad():
        for parameter in spoilt.parameters():
            parameter.zero_()
    assert any(parameter.abs().max() > 0 for parameter in estimator.new_decoder().parameters())
    np.testing.assert_array_equal(estimator.estimate(photograph).map_hw, before)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(480, 640, (96, 128)), (640, 480, (128, 96)), (10, 2000, (8, 128)), (128, 128, (128, 128))],
)
def test_processing_size_is_height_then_width(
    estimator: DepthAnything, height: int, width: int, expected: tuple[int, int]
) -> None:
    assert estimator.processing_size(height, width) == expected


def test_a_sliver_can_be_estimated(estimator: DepthAnything) -> None:
    assert estimator.estimate(np.zeros((8, 128, 3), np.uint8)).map_hw.shape == (8, 128)


def test_a_size_between_patches_is_refused(estimator: DepthAnything) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        estimator.estimate(np.zeros((88, 127, 3), np.uint8))


def test_making_mini_leaves_the_global_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_mini_depth_anything(seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_a_seeded_model_says_untrained(estimator: DepthAnything) -> None:
    card = estimator.card
    assert card.untrained
    assert (card.role, card.name, card.source) == ("coarse", "mini", "seed 0")


def test_folder_gives_the_same_bytes_as_the_seed(
    folder: Path, estimator: DepthAnything, photograph: ByteImage
) -> None:
    loaded = from_folder(folder)
    np.testing.assert_array_equal(
        loaded.estimate(photograph).map_hw, estimator.estimate(photograph).map_hw
    )
    assert not loaded.card.untrained
    assert loaded.card.source == str(folder)


def test_variant_and_shards_are_found(tmp_path: Path, photograph: ByteImage) -> None:
    model = build_mini_depth_anything(seed=2)
    model.save_pretrained(tmp_path, variant="fp16", max_shard_size="500KB")
    assert len(list(tmp_path.glob("model.fp16-*.safetensors"))) > 1
    seeded = load_token_estimator(Coarse(preset="mini", weights=Weights(seed=2)), CPU)
    np.testing.assert_array_equal(
        from_folder(tmp_path, variant="fp16").estimate(photograph).map_hw,
        seeded.estimate(photograph).map_hw,
    )


def test_a_checkpoint_with_holes_is_refused(folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["head.conv3.weight"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ConfigError, match=r"lacks 1 parameters \(head\.conv3\.weight"):
        from_folder(tmp_path)


def test_weights_without_a_config_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ConfigError, match="cannot read DepthAnything"):
        from_folder(tmp_path)


def test_a_cut_off_file_is_refused(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ConfigError, match="cannot read DepthAnything"):
        from_folder(tmp_path)


def test_a_metric_checkpoint_is_refused(tmp_path: Path) -> None:
    config = build_mini_depth_anything(seed=0).config
    config.depth_estimation_type = "metric"
    DepthAnythingForDepthEstimation(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="predicts metric depth"):
        from_folder(tmp_path)


def test_a_seed_is_for_mini_alone() -> None:
    settings = Coarse(preset="depth-anything-v2-small", weights=Weights(seed=0))
    with pytest.raises(ConfigError, match="'mini' and 'mini-metric' only"):
        load_estimator(settings, CPU)


def test_loads_as_the_protocol() -> None:
    assert load_token_estimator(SEEDED, CPU).rendering == Rendering(scale=4.0, margin=1.4)


def test_token_maps_refuse_another_grid() -> None:
    with pytest.raises(ValueError, match=r"expected \[1, 6, C\]"):
        TokenMaps((torch.zeros(1, 5, 8),), (torch.zeros(1, 1, 8),), (2, 3))
