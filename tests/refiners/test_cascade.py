"""A cascade: whose map an image gets, what its settings ask, and that neighbours do not matter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from flows.doctor import Subject, Verdict, check_weights
from redepth.cluster.readiness import require_readiness
from redepth.config import Deployment, LabelSettings, Recipe
from redepth.costing.work import recipe_flops
from redepth.errors import ConfigError, IntegrityError, RefinementFailed
from redepth.flops import ImageWork
from redepth.labelling.labeller import Inferred, label_shard, load_labeller
from redepth.labelling.preparing import Prepared
from redepth.quantities import Quantity
from redepth.refiners import refiners
from redepth.refiners.batches import BatchRefiner, RefineOutcome, refine_all
from redepth.refiners.cascade import Cascade
from redepth.refiners.cascade.refiner import CascadeRefiner
from redepth.refiners.distilled.familiar import FamiliarImages
from redepth.refiners.distilled.gain import FILE_NAME as GAIN_FILE
from redepth.refiners.distilled.gain import Gain, read_gain
from redepth.refiners.distilled.pipeline import DistilledPipeline
from redepth.refiners.refiner import RefinementInput
from redepth.refiners.triage import FILE, Budget, Triage, fit_triage
from redepth.store.dataset import begin, read_dataset
from redepth.training.distilled.network import new_network
from redepth.training.distilled.settings import Network
from redepth.types import ImageRef, Members, ModelCard, Outcome
from tests.refiners import cascade_samples as samples
from tests.refiners.cascade_samples import QuickRefiner, ThoroughRefiner, cascade_settings, scene

TRIAGE_CARD = ModelCard("triage", "quick", "folder", None, "3" * 64, "MIT")
THRESHOLD = 0.5


@pytest.fixture(autouse=True)
def parts() -> Iterator[None]:
    with samples.registered():
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return samples.write_triage(tmp_path / "student")


def cascade(
    quick: QuickRefiner | None = None, thorough: ThoroughRefiner | None = None
) -> CascadeRefiner:
    chosen = Cascade.model_validate(
        {"cheap": {"method": "quick"}, "expensive": {"method": "thorough"}}
    )
    return CascadeRefiner(
        chosen, quick or QuickRefiner(), thorough or ThoroughRefiner(), THRESHOLD, TRIAGE_CARD
    )


def refined(image: RefinementInput) -> Members:
    return cascade().refine(image)


def test_little_to_gain_keeps_the_cheap_map() -> None:
    image = scene("plain", red=100)
    members = refined(image)
    assert members.maps_ehw.tobytes() == QuickRefiner().refine(image).maps_ehw.tobytes()
    assert (members.refined_by, members.caption) == ("quick", None)
    assert members.predicted_gain == pytest.approx(100 / 255)
    assert members.stopped == ()


def test_much_to_gain_is_refined_expensively_with_the_prompt_that_it_wants() -> None:
    thorough = ThoroughRefiner()
    image = scene("rich", red=200)
    members = cascade(thorough=thorough).refine(image)
    assert members.maps_ehw.tobytes() == ThoroughRefiner().refine(image).maps_ehw.tobytes()
    assert (members.refined_by, members.caption, members.num_steps) == ("thorough", "a wall", 5)
    assert members.predicted_gain == pytest.approx(200 / 255)
    (asked,) = thorough.asked
    assert asked.caption == "a wall"


def test_a_predicted_gain_of_exactly_the_threshold_stays_cheap() -> None:
    at = replace(QuickRefiner().refine(scene("plain", 10)), predicted_gain=THRESHOLD)
    above = replace(at, predicted_gain=float(np.nextafter(THRESHOLD, 1)))
    unknown = replace(at, predicted_gain=float("nan"))
    for members, way in ((at, "quick"), (above, "thorough"), (unknown, "thorough")):
        assert cascade(QuickRefiner(says=members)).refine(scene("plain", 10)).refined_by == way


@pytest.mark.parametrize(
    ("image", "note", "gain"),
    [
        (scene("odd", 10, blue=0), "quick: unlike what it was distilled from: no blue", None),
        (scene("odd", 10, green=0), "quick: no green", pytest.approx(10 / 255, abs=0.01)),
    ],
)
def test_what_the_cheap_one_has_no_map_for_goes_on(
    image: RefinementInput, note: str, gain: float | None
) -> None:
    members = refined(image)
    assert members.refined_by == "thorough" and members.refused is None
    assert members.stopped == (note,)
    assert members.predicted_gain == gain


@pytest.mark.parametrize(
    ("corner", "note"),
    [(0, "thorough: no member came through"), (1, "thorough: a corner of 1")],
)
def test_the_cheap_map_stays_where_the_expensive_one_fails(corner: int, note: str) -> None:
    image = scene("black", 200, corner=corner)
    members = refined(image)
    assert members.maps_ehw.tobytes() == QuickRefiner().refine(image).maps_ehw.tobytes()
    assert (members.refined_by, members.refused) == ("quick", None)
    assert members.stopped == (note,)


def test_an_image_that_fails_both_ways_says_both_reasons() -> None:
    with pytest.raises(RefinementFailed, match=r"quick: unlike .* no blue; thorough: no member"):
        refined(scene("black", 200, blue=0, corner=0))
    refused = refined(scene("black", 200, green=0, corner=0))
    assert refused.refused == "no green", "the label falls back, and says why"


@pytest.mark.parametrize("gain", [0.1, 0.9])
def test_further_maps_are_left_out_whichever_way(gain: float) -> None:
    """One method alone has them, and all labels of an output are to have the same quantities."""
    image = scene("plain", 10)
    slope = Quantity("slope", "of the map", "none")
    own = {slope: image.coarse.map_hw}
    quick = QuickRefiner(says=replace(QuickRefiner().refine(image), extra=own, predicted_gain=gain))
    thorough = ThoroughRefiner(extra=own)
    assert thorough.refine(image).extra
    assert cascade(quick, thorough).refine(image).extra == {}


def test_a_cheap_refiner_that_predicts_nothing_ends_the_run() -> None:
    silent = replace(QuickRefiner().refine(scene("plain", 10)), predicted_gain=None)
    with pytest.raises(ConfigError, match="predicts no gain"):
        cascade(QuickRefiner(says=silent)).refine(scene("plain", 10))


# Images of every way: cheap, expensive, and each failure.
IMAGES = [
    scene(f"image-{n}", red, green=green, blue=blue, corner=corner)
    for n, (red, green, blue, corner) in enumerate(
        [(10, 9, 9, 9), (250, 9, 9, 9), (129, 9, 9, 9), (10, 9, 0, 9), (10, 0, 9, 9),
         (250, 9, 9, 0), (250, 9, 0, 0), (126, 9, 9, 1)]
    )
]  # fmt: skip


def content(outcome: RefineOutcome) -> tuple[object, ...]:
    if isinstance(outcome, RefinementFailed):
        return (str(outcome),)
    return (
        outcome.maps_ehw.tobytes(), outcome.stopped, outcome.refused, outcome.predicted_gain,
        outcome.refined_by, outcome.caption,
    )  # fmt: skip


@given(
    order=st.lists(st.sampled_from(range(len(IMAGES))), min_size=1, max_size=12),
    batch_size=st.integers(1, 5),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_way_of_an_image_depends_on_no_other(order: list[int], batch_size: int) -> None:
    alone = {n: content(refine_all(cascade(), [IMAGES[n]], 1)[0]) for n in set(order)}
    together = refine_all(cascade(), [IMAGES[n] for n in order], batch_size)
    assert [content(outcome) for outcome in together] == [alone[n] for n in order]


def test_the_cheap_one_takes_batches_and_the_expensive_one_each_image_once() -> None:
    quick, thorough = QuickRefiner(), ThoroughRefiner()
    both = cascade(quick, thorough)
    assert isinstance(both, BatchRefiner)
    refine_all(both, [IMAGES[0], IMAGES[2], IMAGES[0], IMAGES[1]], 3)
    assert quick.batches == [3, 3], "the second one filled up with copies of its image"
    assert [image.image_id for image in thorough.asked] == ["image-2", "image-1"]


def test_settings_are_validated_as_at_the_top_level(folder: Path) -> None:
    labels = cascade_settings(folder, "3%")
    assert isinstance(labels.refiner, Cascade)
    assert labels.refiner.budget == 0.03
    assert isinstance(labels.refiner.cheap, samples.Quick)
    assert labels == LabelSettings.model_validate(labels.model_dump(mode="json"))
    assert labels.digest() == cascade_settings(folder, 0.03).digest()
    assert labels.digest() != cascade_settings(folder, "4%").digest()
    stored = json.loads(json.dumps(labels.model_dump(mode="json")))["refiner"]
    assert stored["cheap"]["strength"] == 0.01 and stored["expensive"]["strength"] == 0.2


@pytest.mark.parametrize(
    ("refiner", "said"),
    [
        ({"cheap": {"method": "quick", "stregth": 1}}, r"cheap\.stregth\n.*not permitted"),
        ({"cheap": {"method": "nobody's"}}, "no refiner is called \"nobody's\""),
        ({"cheap": {}}, "expected settings with a method"),
        ({"expensive": {"method": "quick"}}, "both quick"),
        ({"cheap": {"method": "identity"}}, "cheap is identity, which predicts no gain"),
        (
            {"expensive": {"method": "cascade", "cheap": {"method": "quick"},
                           "expensive": {"method": "thorough"}}},
            "a cascade inside a cascade",
        ),
        ({"budget": "100%"}, "less than 1"),
        ({"budget": "0%"}, "greater than 0"),
        ({"budget": "a few %"}, "expected a share such as"),
    ],
)  # fmt: skip
def test_what_is_no_cascade_is_refused(refiner: dict[str, object], said: str) -> None:
    both = {"cheap": {"method": "quick"}, "expensive": {"method": "thorough"}}
    with pytest.raises(ValidationError, match=said):
        LabelSettings.model_validate({"refiner": {"method": "cascade", **both, **refiner}})


def test_both_methods_are_asked_whether_they_fit_the_coarse_model(folder: Path) -> None:
    with pytest.raises(ValidationError, match="thorough takes no metres"):
        cascade_settings(folder, coarse={"preset": "mini-metric", "size_px": 64})
    cascade_settings(folder, compute={"device": "cpu", "batch_size": 4})


def test_models_and_licences_are_those_of_both(folder: Path) -> None:
    recipe = Recipe(name="both", labels=cascade_settings(folder))
    assert [model.role for model in recipe.labels.models()] == ["coarse", "refiner", "prior"]
    assert recipe.licence_lines() == ["quick: MIT (says the recipe)",
                                      "thorough: CC-BY-NC-4.0 (non-commercial)"]  # fmt: skip


def test_the_flops_are_those_of_the_way(folder: Path) -> None:
    labels = cascade_settings(folder, "10%")
    image = ImageWork(30, 40)
    part = refiners["cascade"]

    def flops(of: ImageWork) -> dict[str, float]:
        found = recipe_flops(labels, of)
        assert found is not None
        return {dtype: round(count / of.num_px, 3) for dtype, count in found.items()}

    assert part.flops is not None
    coarse = flops(replace(image, refined_by="quick"))["float32"] - 2.0
    usual = flops(image)
    assert usual["float16"] == 100.0, "a tenth of the images"
    assert usual["float32"] == pytest.approx(coarse + 2.0)
    went_on = flops(replace(image, refined_by="thorough", num_steps=5))
    assert went_on == {"float32": pytest.approx(coarse + 2.0), "float16": 5000.0}
    assert flops(replace(image, refined_by="quick")).get("float16") == 0.0


def test_re_depth_anything_may_be_the_expensive_one_of_a_batch(folder: Path) -> None:
    """Of any batch it gets the image's own tokens, and not those of a neighbour."""
    expensive = {"method": "redepth_anything", "prior": {"preset": "mini"}, "num_members": 1,
                 "num_steps": 2, "token_learning_rate": 0.01}  # fmt: skip
    quick = cascade_settings(folder).model_dump(mode="json")["refiner"]
    both = cascade_settings(
        folder,
        coarse={"preset": "mini", "size_px": 64},
        compute={"device": "cpu", "batch_size": 2},
        refiner={**quick, "expensive": expensive},
    )
    labeller = load_labeller(both)

    def labels(*reds: int) -> dict[int, tuple[object, ...]]:
        refs = [ImageRef(f"{red}", write_picture(folder, red)) for red in reds]
        prepared = [one for one in map(labeller.prepare, refs) if isinstance(one, Prepared)]
        found = zip(reds, labeller.infer(prepared), strict=True)
        return {red: content(one.members) for red, one in found if isinstance(one, Inferred)}

    forward, backward = labels(240, 10, 250), labels(250, 240, 10)
    assert forward == backward
    ways = {red: values[4] for red, values in forward.items()}
    assert ways == {240: "redepth_anything", 10: "quick", 250: "redepth_anything"}
    assert forward[240][0] != forward[250][0]


def write_picture(folder: Path, red: int) -> str:
    """Write a PNG of noise whose last pixel has that red."""
    pixels = np.random.default_rng(red).integers(1, 255, (48, 64, 3), dtype=np.uint8)
    pixels[24:, 32:] = red, 9, 9
    Image.fromarray(pixels).save(folder / f"{red}.png")
    return str(folder / f"{red}.png")


def test_labels_say_their_way_and_the_output_its_threshold(folder: Path, tmp_path: Path) -> None:
    labels = cascade_settings(folder)
    labeller = load_labeller(labels)
    rows = []
    for red in (10, 120, 240):
        path = tmp_path / f"{red}.png"
        Image.new("RGB", (80, 60), (red, 9, 9)).save(path)
        rows += [made.row for made in label_shard(labeller, [ImageRef(path.stem, str(path))])]
    assert [row.refined_by for row in rows] == ["quick", "quick", "thorough"]
    assert [row.caption for row in rows] == [None, None, "a photograph"]
    assert [row.num_members for row in rows] == [1, 1, 2]
    assert rows[2].predicted_gain == pytest.approx(240 / 255)
    assert {row.outcome for row in rows} == {Outcome.REFINED}
    assert [row.mean_spread is None for row in rows] == [True, True, False]
    out = str(tmp_path / "out")
    recipe = Recipe(name="both", labels=labels)
    begin(out, recipe, labeller.cards)
    (card,) = (model for model in read_dataset(out).models if model.role == "triage")
    assert card.facts["budget"] == 0.3
    assert card.facts["threshold"] == pytest.approx(0.7, abs=0.01)
    assert card.facts["triage"]["num_images"] == 100


def test_the_second_of_two_models_of_a_role_is_held_to_its_weights(
    folder: Path, tmp_path: Path
) -> None:
    labeller = load_labeller(cascade_settings(folder))
    out, recipe = str(tmp_path / "out"), Recipe(name="both", labels=cascade_settings(folder))
    begin(out, recipe, labeller.cards)
    begin(out, recipe, labeller.cards)
    others = [
        replace(card, sha256="f" * 64) if card.name == "quick" else card for card in labeller.cards
    ]
    with pytest.raises(IntegrityError, match="refiner model quick has weights ffffffffffff"):
        begin(out, recipe, others)


def test_a_run_without_the_triage_ends_before_anything_is_started(folder: Path) -> None:
    recipe = Recipe(name="both", labels=cascade_settings(folder))
    require_readiness(recipe, None)
    (folder / FILE).unlink()
    with pytest.raises(ConfigError, match=r"has no triage\.json"):
        require_readiness(recipe, None)
    require_readiness(recipe, "ray://elsewhere:10001")


def test_the_doctor_looks_for_the_triage(folder: Path) -> None:
    subject = Subject(Recipe(name="both", labels=cascade_settings(folder)), Deployment())
    finding = check_weights(subject)
    assert finding.verdict is Verdict.GOOD
    assert "its triage was fitted to 100 images" in finding.found
    (folder / FILE).unlink()
    assert "triage.json" in check_weights(subject).found
    assert check_weights(subject).verdict is Verdict.BAD


def write_student(folder: Path, pictures: list[str]) -> Path:
    """Write an untrained student that knows the first two pictures, with a triage."""
    rgbs_hw3 = [np.asarray(Image.open(path)) for path in pictures]
    coarse_hw = np.linspace(1, 2, 48 * 64, dtype=np.float32).reshape(48, 64)
    pipeline = DistilledPipeline(new_network(Network(channels=(8, 16)), seed=0).eval())
    answers = pipeline.answer(rgbs_hw3[:2], [coarse_hw] * 2, num_members=2, larger_is_nearer=True)
    pipeline.save_pretrained(folder, safe_serialization=True)
    FamiliarImages.of(answers.features_bd).save(folder)
    gain = Gain(distance=0.01, constant=0.02, max_distance=1e3)
    (folder / GAIN_FILE).write_text(gain.model_dump_json())
    triage = fit_triage(samples.HELD_OUT, samples.HELD_OUT, samples.TEACHER)
    (folder / FILE).write_text(triage.model_dump_json())
    return folder


def test_a_distilled_student_may_be_the_cheap_one(tmp_path: Path) -> None:
    pictures = [write_picture(tmp_path, red) for red in (10, 60, 250)]
    student = write_student(tmp_path / "student", pictures)
    weights = {"folder": str(student), "licence": "MIT"}
    labels = LabelSettings.model_validate(
        {
            "coarse": {"preset": "mini", "size_px": 64},
            "compute": {"device": "cpu"},
            "refiner": {
                "method": "cascade",
                "cheap": {"method": "distilled", "model": {"weights": weights}},
                "expensive": {"method": "redepth_anything", "prior": {"preset": "mini"},
                              "num_members": 2, "num_steps": 1},
                "budget": "99%",
            },
        }
    )  # fmt: skip
    labeller = load_labeller(labels)
    assert [card.role for card in labeller.cards] == ["coarse", "refiner", "prior", "triage"]
    refs = [ImageRef(Path(path).stem, path) for path in pictures]
    rows = [label.row for label in label_shard(labeller, refs)]
    assert {row.refined_by for row in rows} == {"redepth_anything"}
    gains = sorted(row.predicted_gain or 0.0 for row in rows)
    assert gains[0] >= 0.02 and gains[1] < gains[2]
    found = [(0.0, gains[1], 0.0), (0.99, gains[1], 0.5), (1.0, 0.0, 1.0)]
    budgets = tuple(Budget(share=s, threshold=t, expected_gain=g) for s, t, g in found)
    triage = Triage(budgets=budgets, num_images=3, teacher=samples.TEACHER)
    (student / FILE).write_text(triage.model_dump_json())
    rows = [label.row for label in label_shard(load_labeller(labels), refs)]
    assert sorted(row.predicted_gain or 0.0 for row in rows) == gains
    ways = {row.predicted_gain: row.refined_by for row in rows}
    assert [ways[gain] for gain in gains] == ["distilled", "distilled", "redepth_anything"]
    strict = read_gain(student).model_copy(update={"max_distance": 1e-6})
    (student / GAIN_FILE).write_text(strict.model_dump_json())
    (row,) = (label.row for label in label_shard(load_labeller(labels), refs[2:]))
    assert (row.outcome, row.refined_by) == (Outcome.REFINED, "redepth_anything")
    assert (row.members_stopped or "").startswith("distilled: unlike what the student was")
