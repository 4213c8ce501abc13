"""The prior: mini from a seed, and through folders as diffusers and the hub write them."""

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from huggingface_hub.utils import filter_repo_objects
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers.pre_tokenizers import ByteLevel

from redepth.errors import ConfigError
from redepth.refiners.redepth_anything import Prior, diffusion
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior, load_prior
from redepth.refiners.redepth_anything.mini_prior import build_mini_prior, save_mini_prior
from redepth.refiners.redepth_anything.picture_encoder import PosteriorEncoder
from redepth.settings import Compute, Weights
from redepth.types import ModelCard
from redepth.weights import quieten_libraries

CPU = torch.device("cpu")
SEEDED = Prior(preset="mini", weights=Weights(seed=0))
VAE_FILE = Path("vae", "diffusion_pytorch_model.safetensors")
TEXT_FILE = Path("text_encoder", "model.safetensors")
PRESENT_TO_OLD = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value."}


@pytest.fixture(scope="module")
def prior() -> DiffusionPrior:
    return load_prior(SEEDED, Compute(), CPU)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mini-prior")
    save_mini_prior(path, seed=0)
    return path


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(saved, tmp_path / "prior"))


def from_folder(path: Path, variant: str | None = None, **compute: str) -> DiffusionPrior:
    settings = Prior(preset="mini", weights=Weights(folder=str(path), variant=variant))
    return load_prior(settings, Compute.model_validate(compute), CPU)


def picture(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1


def latents(num: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(num, 16, 16, 16, generator=torch.Generator().manual_seed(seed))


def vae_of(prior: DiffusionPrior) -> torch.nn.Module:
    assert isinstance(prior._encoder, PosteriorEncoder)
    vae: torch.nn.Module = prior._encoder._vae
    return vae


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def assert_same_prior(first: DiffusionPrior, second: DiffusionPrior) -> None:
    words = ["a cat", ""]
    assert torch.equal(first.embed(words), second.embed(words))
    assert torch.equal(first.encode(picture(), latents()), second.encode(picture(), latents()))
    noisy, timesteps, embeddings = latents(2), torch.tensor([20, 600]), first.embed(words)
    assert torch.equal(
        first.predict_noise(noisy, timesteps, embeddings),
        second.predict_noise(noisy, timesteps, embeddings),
    )


# --- what a prior does


def test_shapes_and_schedule(prior: DiffusionPrior) -> None:
    assert (prior.size_px, prior.latent_shape, prior.num_timesteps) == (64, (16, 16, 16), 1000)
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    expected = torch.cumprod(1 - beta, dim=0).float()
    torch.testing.assert_close(prior.alphas_cumprod, expected, rtol=2e-5, atol=0)


def test_encode_samples_the_posterior_and_scales(prior: DiffusionPrior) -> None:
    parts = build_mini_prior(seed=0)
    with torch.no_grad():
        posterior = parts.vae.encode(picture()).latent_dist
    noise = latents()
    expected = (posterior.mean + posterior.std * noise) * parts.vae.config.scaling_factor
    torch.testing.assert_close(prior.encode(picture(), noise), expected)


def test_another_encoder_may_take_the_vaes_place() -> None:
    """One without a posterior: what it gives is what the prior gives, with its gradient."""

    class Quarter:
        latent_shape = (3, 16, 16)
        cards: tuple[ModelCard, ...] = ()

        def encode(self, picture_b3hw: torch.Tensor, posterior_noise_bchw: torch.Tensor) -> Any:
            return torch.nn.functional.avg_pool2d(picture_b3hw, 4)

    parts = build_mini_prior(seed=0)
    prior = DiffusionPrior(parts, Quarter(), load_prior(SEEDED, Compute(), CPU).card, 64,
                           torch.float32, CPU)  # fmt: skip
    assert prior.latent_shape == (3, 16, 16)
    image = picture().requires_grad_(True)
    encoded = prior.encode(image, torch.zeros(1, 3, 16, 16))
    torch.testing.assert_close(encoded, torch.nn.functional.avg_pool2d(image, 4))
    encoded.sum().backward()
    torch.testing.assert_close(image.grad, torch.full_like(image, 1 / 16))


def test_double_precision_stays_double() -> None:
    prior = double_prior()
    encoded = prior.encode(picture().double(), latents().double())
    noise = prior.predict_noise(encoded, torch.tensor([300]), prior.embed(["a cat"]))
    assert {t.dtype for t in (encoded, noise, prior.alphas_cumprod)} == {torch.float64}


def double_prior() -> DiffusionPrior:
    parts, card = build_mini_prior(seed=0), load_prior(SEEDED, Compute(), CPU).card
    encoder = PosteriorEncoder(parts.vae, 64, torch.float64, CPU)
    return DiffusionPrior(parts, encoder, card, 64, torch.float64, CPU)


def test_scaling_factor_is_the_checkpoints(folder: Path, prior: DiffusionPrior) -> None:
    edit_json(folder / "vae" / "config.json", scaling_factor=0.18215)
    scaled = from_folder(folder).encode(picture(), latents())
    torch.testing.assert_close(scaled, 0.18215 * prior.encode(picture(), latents()))


def test_gradient_reaches_every_pixel_and_no_weight(prior: DiffusionPrior) -> None:
    image = picture().requires_grad_(True)
    prior.encode(image, latents()).sum().backward()
    assert image.grad is not None
    assert (image.grad != 0).all()
    networks = (vae_of(prior), prior._unet, prior._text_encoder)
    assert not any(p.requires_grad for network in networks for p in network.parameters())


def test_embed_pads_and_truncates(prior: DiffusionPrior) -> None:
    embeddings = prior.embed(["a cat", "", "word " * 500, "Ünïcode 猫\n"])
    assert embeddings.shape == (4, 32, 96)
    assert embeddings.dtype == torch.float32
    assert not embeddings.requires_grad
    assert len({tuple(rows.flatten().tolist()) for rows in embeddings}) == 4


def test_predict_noise_has_no_gradient_and_keeps_float32(prior: DiffusionPrior) -> None:
    noisy = latents().requires_grad_(True)
    noise = prior.predict_noise(noisy, torch.tensor([300]), prior.embed(["a cat"]))
    assert noise.shape == noisy.shape
    assert noise.dtype == torch.float32
    assert not noise.requires_grad


def test_predict_noise_hears_prompt_and_timestep(prior: DiffusionPrior) -> None:
    cat, nothing = prior.embed(["a cat"]), prior.embed([""])
    at = torch.tensor([300])
    base = prior.predict_noise(latents(), at, cat)
    assert not torch.equal(base, prior.predict_noise(latents(), at, nothing))
    assert not torch.equal(base, prior.predict_noise(latents(), at + 1, cat))


def test_rows_of_a_batch_do_not_meet(prior: DiffusionPrior) -> None:
    noisy, at, words = latents(2), torch.tensor([30, 500]), prior.embed(["a cat", ""])
    both = prior.predict_noise(noisy, at, words)
    second = prior.predict_noise(noisy[1:], at[1:], words[1:])
    torch.testing.assert_close(both[1:], second, rtol=1e-4, atol=1e-5)


def test_velocity_is_brought_to_noise(folder: Path, prior: DiffusionPrior) -> None:
    """The same network read as noise, then as v: e = sqrt(abar) v + sqrt(1 - abar) x."""
    edit_json(folder / "scheduler" / "scheduler_config.json", prediction_type="epsilon")
    noisy, at, words = latents(2), torch.tensor([30, 500]), prior.embed(["a cat", ""])
    output = from_folder(folder).predict_noise(noisy, at, words)
    abar = prior.alphas_cumprod[at].view(2, 1, 1, 1)
    expected = abar.sqrt() * output + (1 - abar).sqrt() * noisy
    torch.testing.assert_close(prior.predict_noise(noisy, at, words), expected)


def test_half_precision_is_inside_only(saved: Path, prior: DiffusionPrior) -> None:
    half = from_folder(saved, dtype="bfloat16")
    assert {p.dtype for p in half._unet.parameters()} == {torch.bfloat16}
    image = picture().requires_grad_(True)
    encoded = half.encode(image, latents())
    encoded.sum().backward()
    assert image.grad is not None
    noise = half.predict_noise(latents(), torch.tensor([300]), half.embed(["a cat"]))
    assert {t.dtype for t in (encoded, image.grad, noise)} == {torch.float32}
    torch.testing.assert_close(encoded, prior.encode(image, latents()), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_gradients_as_small_as_the_methods_do_not_vanish(
    saved: Path, prior: DiffusionPrior, dtype: str
) -> None:
    def gradient_of(model: DiffusionPrior) -> torch.Tensor:
        image = picture().requires_grad_(True)
        (model.encode(image, latents()) * latents(seed=1) * 1e-6).sum().backward()
        assert image.grad is not None
        return image.grad

    expected = gradient_of(prior)
    error = (gradient_of(from_folder(saved, dtype=dtype)) - expected).norm() / expected.norm()
    assert error < 0.02


def test_same_inputs_same_bytes(prior: DiffusionPrior) -> None:
    assert_same_prior(prior, prior)


# --- where it comes from


def test_a_seeded_prior_says_untrained(prior: DiffusionPrior) -> None:
    assert prior.card.untrained
    assert (prior.card.role, prior.card.source) == ("prior", "seed 0")


def test_making_mini_leaves_the_global_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_mini_prior(seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_seeds_differ(prior: DiffusionPrior) -> None:
    other = load_prior(Prior(preset="mini", weights=Weights(seed=1)), Compute(), CPU)
    assert other.card.sha256 != prior.card.sha256


def test_a_seed_is_for_mini_alone() -> None:
    with pytest.raises(ConfigError, match="'mini' only"):
        load_prior(Prior(weights=Weights(seed=0)), Compute(), CPU)


def test_folder_gives_the_same_bytes_as_the_seed(saved: Path, prior: DiffusionPrior) -> None:
    loaded = from_folder(saved)
    assert_same_prior(loaded, prior)
    assert not loaded.card.untrained
    assert loaded.card.source == str(saved)


def test_layout_of_2022_gives_the_same_bytes(folder: Path) -> None:
    """As the hub holds Stable Diffusion 1.5: old names, a slow tokenizer, another scheduler."""
    quieten_libraries()
    config = build_mini_prior(seed=0).vae.config
    AutoencoderKL.from_config(config, mid_block_add_attention=True).save_pretrained(folder / "vae")
    present = from_folder(folder)
    rename(folder / VAE_FILE, PRESENT_TO_OLD | {".to_out.0.": ".proj_attn."})
    write_old_text_encoder(folder / TEXT_FILE)
    write_slow_tokenizer(folder / "tokenizer")
    edit_json(
        folder / "scheduler" / "scheduler_config.json",
        _class_name="PNDMScheduler",
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    assert_same_prior(from_folder(folder), present)


def rename(path: Path, names: dict[str, str]) -> None:
    state = {}
    for key, tensor in load_file(path).items():
        for present, old in names.items():
            key = key.replace(present, old)  # noqa: PLW2901
        state[key] = tensor
    assert any(".query." in key for key in state)
    save_file(state, path, metadata={"format": "pt"})


def write_old_text_encoder(path: Path) -> None:
    state = {
        f"text_model.{key.removeprefix('text_model.')}": tensor
        for key, tensor in load_file(path).items()
    }
    state["text_model.embeddings.position_ids"] = torch.arange(32)[None]
    save_file(state, path, metadata={"format": "pt"})


def write_slow_tokenizer(folder: Path) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert len(vocabulary) == 2 * len(ByteLevel.alphabet()) + 2
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = {"model_max_length": 32, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def test_variant_and_shards_are_found(folder: Path, prior: DiffusionPrior) -> None:
    quieten_libraries()
    parts = build_mini_prior(seed=0)
    for name, network in (("unet", parts.unet), ("vae", parts.vae)):
        shutil.rmtree(folder / name)
        network.save_pretrained(folder / name, variant="fp16", max_shard_size="200KB")
        assert len(list((folder / name).glob("*.fp16-*.safetensors"))) > 1
    (folder / TEXT_FILE).rename(folder / "text_encoder" / "model.fp16.safetensors")
    assert_same_prior(from_folder(folder, variant="fp16"), prior)


# --- the VAE's decoder


@pytest.fixture
def read_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all tensors that loading the VAE reads."""
    names: list[str] = []

    class Recorder:
        def __init__(self, path: Path, framework: str) -> None:
            self._file = safe_open(path, framework=framework)

        def __enter__(self) -> "Recorder":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def keys(self) -> list[str]:
            return list(self._file.keys())

        def get_tensor(self, name: str) -> torch.Tensor:
            names.append(name)
            tensor: torch.Tensor = self._file.get_tensor(name)
            return tensor

    monkeypatch.setattr(diffusion, "safe_open", Recorder)
    return names


def test_decoder_is_never_read(saved: Path, read_names: list[str]) -> None:
    loaded = from_folder(saved)
    stored = load_file(saved / VAE_FILE)
    wanted = {name for name in stored if name.startswith(("encoder.", "quant_conv."))}
    assert set(read_names) == wanted
    assert any(name.startswith("decoder.") for name in stored)
    assert not any(
        name.startswith(("decoder", "post_quant")) for name in vae_of(loaded).state_dict()
    )


def test_a_vae_without_a_decoder_is_enough(folder: Path, prior: DiffusionPrior) -> None:
    state = load_file(folder / VAE_FILE)
    kept = {k: v for k, v in state.items() if not k.startswith(("decoder.", "post_quant_conv."))}
    assert len(kept) < len(state)
    save_file(kept, folder / VAE_FILE)
    assert_same_prior(from_folder(folder), prior)


# --- folders that are not right


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (VAE_FILE, "encoder.conv_in.weight"),
        (Path("unet", "diffusion_pytorch_model.safetensors"), "conv_in.weight"),
        (TEXT_FILE, "final_layer_norm.weight"),
    ],
)
def test_a_checkpoint_with_holes_is_refused(folder: Path, path: Path, key: str) -> None:
    state = load_file(folder / path)
    holes = [name for name in state if name.endswith(key)]
    assert holes
    for name in holes:
        del state[name]
    save_file(state, folder / path, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        from_folder(folder)


@pytest.mark.parametrize("path", [VAE_FILE, TEXT_FILE])
def test_pickles_are_not_loaded(folder: Path, path: Path) -> None:
    (folder / path).rename((folder / path).with_name("pytorch_model.bin"))
    with pytest.raises(ConfigError, match=r"pytorch_model\.bin.*Only safetensors"):
        from_folder(folder)


@pytest.mark.parametrize(
    "missing", ["vae/config.json", "tokenizer", "scheduler", "unet/config.json"]
)
def test_a_missing_part_is_named(folder: Path, missing: str) -> None:
    path = folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        from_folder(folder)


def test_a_prior_that_predicts_pictures_is_refused(folder: Path) -> None:
    edit_json(folder / "scheduler" / "scheduler_config.json", prediction_type="sample")
    with pytest.raises(ConfigError, match="it predicts sample"):
        from_folder(folder)


def test_an_inpainting_unet_is_refused(folder: Path) -> None:
    config = build_mini_prior(seed=0).unet.config
    UNet2DConditionModel.from_config(config, in_channels=9).save_pretrained(folder / "unet")
    with pytest.raises(ConfigError, match="takes 9 channels"):
        from_folder(folder)


def test_the_hub_is_asked_for_what_is_read_and_nothing_else(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a repository like Stable Diffusion 1.5's, which holds 40 GB, a few files are fetched."""
    asked: dict[str, Any] = {}

    def snapshot_download(repo: str, **arguments: Any) -> str:
        asked.update(repo=repo, **arguments)
        return str(saved)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    card = load_prior(Prior(), Compute(), CPU).card
    assert asked["repo"] == card.source == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert card.licence == "CreativeML-OpenRAIL-M"
    needed = [str(p.relative_to(saved)) for p in sorted(saved.rglob("*")) if p.is_file()]
    unwanted = [
        "v1-5-pruned.ckpt",
        "v1-5-pruned-emaonly.safetensors",
        "model_index.json",
        "safety_checker/model.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "text_encoder/pytorch_model.bin",
        "vae/modeling.py",
    ]
    patterns = asked["allow_patterns"]
    assert list(filter_repo_objects([*needed, *unwanted], allow_patterns=patterns)) == needed
