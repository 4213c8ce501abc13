"""What a deployment is made of, and what is refused before any server is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.client.schemas.schedules import CronSchedule

from redepth.config import Cost, Deployment, Recipe, RunSettings, load_deployment, load_recipe
from redepth.errors import ConfigError
from redepth.redaction import refuse_secrets
from redepth.settings import Settings
from tests.flows.test_cli import run

FILE = """\
name: nightly
labels: {coarse: {preset: mini}}
run: {lease: {when_taken: end}}
deploy: {photos: photos, out: s3://bucket/labels, pool: gpu, cron: "0 2 * * *"}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "nightly.yaml"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def test_the_section_deploy_is_no_part_of_the_recipe(recipe: str) -> None:
    assert load_recipe(recipe).name == "nightly"
    assert load_deployment(recipe).pool == "gpu"
    assert load_deployment(recipe, ("deploy.pool=other",)).pool == "other"
    assert load_deployment("mini") == Deployment()


def test_a_misspelt_setting_is_refused(recipe: str) -> None:
    with pytest.raises(ConfigError, match="deploy"):
        load_deployment(recipe, ("deploy.pol=gpu",))
    with pytest.raises(ConfigError, match="not both"):
        load_deployment(recipe, ("deploy.every_s=5",))


def test_the_deployment_holds_what_the_form_shows(recipe: str) -> None:
    from flows.deployments import describe, run_environment

    wanted = load_deployment(recipe, ("deploy.retries=3", "deploy.tags=[mine]"))
    deployment = describe("nightly", load_recipe(recipe), wanted)
    assert deployment.parameters["source"] == str(Path("photos").absolute())
    assert deployment.parameters["recipe"]["labels"]["coarse"]["preset"] == "mini"
    assert set(deployment.tags) >= {"redepth", "recipe:nightly", "mine"}
    assert deployment.work_pool_name == "gpu"
    assert deployment.job_variables == {"env": run_environment(wanted)}
    assert deployment.job_variables["env"]["PREFECT_FLOWS_DEFAULT_RETRIES"] == "3"
    assert deployment.schedules is not None
    (timed,) = deployment.schedules
    assert isinstance(timed.schedule, CronSchedule)
    assert timed.schedule.cron == "0 2 * * *"
    assert deployment.concurrency_limit == 1
    assert deployment.concurrency_options is not None
    assert str(deployment.concurrency_options.collision_strategy).endswith("CANCEL_NEW")
    assert deployment.job_variables["env"]["PYTHONSAFEPATH"] == "1"
    assert deployment.entrypoint == "flows.label_images.label_images"


def test_the_form_keeps_the_order_of_the_settings_whatever_order_a_server_stores() -> None:
    """Postgres sorts the keys of a schema by their length; the form sorts them by `position`."""
    from flows.deployments import describe

    wanted = Deployment(photos="/data/photos", out="/data/labels")
    schema = describe("x", load_recipe("mini"), wanted)._parameter_openapi_schema
    models: tuple[type[Settings], ...] = (Recipe, RunSettings, Cost)
    for model in models:
        name = model.__name__
        fields = schema.definitions[name]["properties"]
        places = {field: value["position"] for field, value in fields.items()}
        assert sorted(places, key=lambda field: places[field]) == list(model.model_fields)


def test_the_form_knows_every_setting_of_the_recipe() -> None:
    """Prefect's UI makes the form from this schema: types, bounds, meanings."""
    from flows.deployments import describe

    wanted = Deployment(photos="p", out="o", pool="gpu")
    schema = describe("x", load_recipe("mini"), wanted)._parameter_openapi_schema
    definitions = schema.definitions
    assert {"Recipe", "LabelSettings", "ReDepthAnything", "RunSettings", "LeaseSettings"} <= set(
        definitions
    )
    lease = definitions["LeaseSettings"]["properties"]
    assert lease["when_taken"]["enum"] == ["wait", "end"]
    assert lease["ttl_s"]["minimum"] == 1
    assert all("description" in value for value in lease.values())
    assert schema.properties["source"]["description"].startswith("folder, glob")


GOOD = {"source": "/photos", "out": "s3://bucket/labels"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"out": ""},
        {"out": "labels"},
        {"out": "./labels"},
        {"source": "photos"},
        {"source": "~/photos"},
        {"limit": 0},
        {"limit": -1},
        {"ray_address": ""},
        {"retry": ["everything"]},
        {"recipe": {"name": ""}},
    ],
)
def test_a_run_is_held_to_its_form_when_it_is_made_and_when_it_starts(
    wrong: dict[str, object],
) -> None:
    """Relative places are in a worker's temporary folder: labels would go with it."""
    from prefect.exceptions import ParameterTypeError
    from prefect.utilities.schema_tools.validation import validate

    from flows.deployments import describe
    from flows.label_images import label_images

    recipe = load_recipe("mini")
    deployment = describe("x", recipe, Deployment(photos="p", out="o", pool="gpu"))
    assert deployment.enforce_parameter_schema
    schema = deployment._parameter_openapi_schema.model_dump()
    right = {**GOOD, "recipe": recipe.model_dump(mode="json")}
    assert not validate(right, schema)
    label_images.validate_parameters(dict(right))
    assert validate({**right, **wrong}, schema)
    with pytest.raises(ParameterTypeError):
        label_images.validate_parameters({**right, **wrong})


def test_weights_in_a_relative_folder_are_no_deployment() -> None:
    from flows.deployments import describe

    recipe = load_recipe("mini", ("labels.coarse.weights.folder=weights",))
    with pytest.raises(ConfigError, match="the weights of mini are in weights, which is relative"):
        describe("x", recipe, Deployment(photos="p", out="o", pool="gpu"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("deploy", "mini", "--pool", "gpu"), "--photos"),
        (("deploy", "mini", "--photos", "p", "--out", "o"), "needs a work pool"),
        (("deploy", "mini", "--photos", "p", "--out", "s3://k:s@b/o", "--pool", "x"), "a password"),
        (("deploy", "mini", "--photos", "p", "--out", "o", "--pool", "x", "--cron", "soon"),
         "no deployment can be made"),
        (("deploy", "none.yaml", "--pool", "x"), "no recipe file"),
        (("deploy", "list"), "PREFECT_API_URL is not set"),
        (("serve", "mini", "--photos", "p", "--out", "o"), "PREFECT_API_URL is not set"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.chdir(tmp_path)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        code, said = run(capsys, monkeypatch, *arguments)
    assert code == 2, said
    assert said.startswith("error: ")
    assert words in said
    assert ":s@" not in said


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        ("s3://key:secret@bucket/x", True),
        ("s3://key@bucket/x", True),
        ("https://user:pw@host/x.csv", True),
        ("s3://bucket/a@b.jpg", False),
        ("/folder/a@b/c", False),
        ("ray://head:10001", False),
    ],
)
def test_a_password_in_a_url(url: str, is_refused: bool) -> None:
    if not is_refused:
        refuse_secrets(url)
        return
    with pytest.raises(ConfigError, match="environment") as caught:
        refuse_secrets(url)
    assert "secret" not in str(caught.value)
    assert "pw" not in str(caught.value)
