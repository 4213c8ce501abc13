"""Check every file under infra/ with the strictest checker that runs without an engine or a cloud.

python scripts/check_infra.py [FOLDER]

Dockerfile: hadolint. Compose: the compose specification's schema, and compose-lint for hardening.
Kubernetes: the API server's own schemas, strictly; Ray's resources by the fields that are used
here, and their pod templates as Kubernetes' own. `ray up`: Ray's schema of clusters, and each node
as a request to EC2. Buckets: each rule as a request to S3. Policies: no wildcard. Prefect: its own
models. Shell: shellcheck. YAML: yamllint. And no listener that the world could reach unasked, no
secret that works as it is written here, no container that is root.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
YAMLLINT = (
    "{extends: default, rules: {line-length: {max: 110}, document-start: disable, braces: disable, "
    "brackets: disable, comments: {min-spaces-from-content: 1}}}"
)
KUBERNETES = "1.37"


# In names of variables; and those that have such a word and are none.
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH|ACCESS_KEY")
NOT_SECRET = {"RAY_AUTH_MODE", "POSTGRES_HOST_AUTH_METHOD"}
# What a command or an image starts, and the variable without which it would let in everybody.
ASKS = {
    "prefect server start": "PREFECT_SERVER_API_AUTH_STRING",
    "ray start": "RAY_AUTH_TOKEN",
    "postgres:": "POSTGRES_PASSWORD",
    "versitygw:": "ROOT_SECRET_KEY",
}
# What a script that starts a server must say.
SAYS = {
    "postgres/up.sh": (
        "--auth=scram-sha-256",
        "-c listen_addresses=127.0.0.1 ",
        "head -c 24 /dev/urandom",
    ),
    "s3/up.sh": ("beast endpoint=127.0.0.1:", "public addr = 127.0.0.1", "head -c 24 /dev/urandom"),
}


class Wrong(Exception):
    """A file is not as it must be; the message says what."""


def main() -> None:
    """Check every file, say what was checked by what, and exit with 1 if anything is wrong."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "infra"
    num_wrong = 0
    for pattern, checks in CHECKS.items():
        paths = sorted(folder.glob(pattern))
        if not paths:
            print(f"MISSING {pattern}")
            num_wrong += 1
        for path in paths:
            for check in checks:
                name = path.relative_to(folder)
                try:
                    check(path)
                    print(f"ok      {name}  ({check.__name__})")
                except Exception as error:  # each checker has errors of its own
                    num_wrong += 1
                    words = str(error).strip() or type(error).__name__
                    print(f"WRONG   {name}  ({check.__name__})\n        " + words[:1500])
    sys.exit(1 if num_wrong else 0)


def yaml_style(path: Path) -> None:
    """Check indentation, repeated keys and the like."""
    _run(BIN / "yamllint", "-s", "-d", YAMLLINT, path)


def dockerfile(path: Path) -> None:
    """Check a Dockerfile and the shell in it; the last user must not be root."""
    _run(BIN / "hadolint", path)
    text = path.read_text(encoding="utf-8")
    users = re.findall(r"^USER (\S+)", text, flags=re.MULTILINE)
    if not users or users[-1] in ("0", "root"):
        raise Wrong("it must end with a user that is not root")
    if "PYTHONSAFEPATH=1" not in text:
        raise Wrong("modules among the photographs in /data would be run: set PYTHONSAFEPATH=1")


def compose_schema(path: Path) -> None:
    """Check a compose file against the specification's schema."""
    _run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)


def compose_hardening(path: Path) -> None:
    """Check what a compose file lets containers do, and that every port is on the loopback."""
    config = Path(__file__).with_name("compose-lint.yml")
    _run(BIN / "compose-lint", "check", "--fail-on", "medium", "--config", config, path)
    for name, service in yaml.safe_load(path.read_text(encoding="utf-8"))["services"].items():
        for port in service.get("ports", ()):
            if not str(port).startswith("127.0.0.1:"):
                raise Wrong(f"service {name} publishes {port}, not on 127.0.0.1")
            if str(port).rpartition(":")[2] in _metrics_ports(service.get("command", ())):
                raise Wrong(f"service {name} publishes {port}: Ray's metrics ask for no token")


def compose_secrets(path: Path) -> None:
    """Check that what listens asks for a secret, that none is written here, and that none is root.

    `${NAME:?}` has compose refuse to start without; `${NAME:-default}` would be a password that
    everybody knows.
    """
    text = path.read_text(encoding="utf-8")
    for service, settings in yaml.safe_load(text)["services"].items():
        if str(settings.get("user", "0")).partition(":")[0] in ("0", "root"):
            raise Wrong(f"service {service} runs as root")
        environment = {name: str(value) for name, value in settings["environment"].items()}
        for name, value in environment.items():
            if _is_written_secret(name, value):
                raise Wrong(f"service {service}: {name} is not ${{...:?}} out of .env")
        started = " ".join((*settings.get("command", ()), str(settings.get("image", ""))))
        needed = [key for start, key in ASKS.items() if start in started]
        if not environment.keys() >= set(needed) or not _asks(environment):
            raise Wrong(
                f"service {service} listens and asks for no secret: set {', '.join(needed)}"
            )


def no_secrets(path: Path) -> None:
    """Check that an example of a file of secrets has names alone."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and not line.endswith("="):
            raise Wrong(f"{line.partition('=')[0]} has a value: somebody would start with it")


def network_policy(path: Path) -> None:
    """Check that every pod of Ray, a job's too, is reached from its own namespace alone.

    Ray's metrics port asks for no token.
    """
    policies = [one for one in _documents(path) if one["kind"] == "NetworkPolicy"]
    for policy in policies:
        spec = policy["spec"]
        of_all = spec["podSelector"].get("matchLabels") == {"ray.io/is-ray-node": "yes"}
        if of_all and spec["ingress"] == [{"from": [{"podSelector": {}}]}]:
            return
    raise Wrong("no network policy keeps the world from every pod of Ray (ray.io/is-ray-node)")


def kubernetes(path: Path) -> None:
    """Check manifests as the API server does; unknown fields are errors."""
    import kubernetes_validate

    for manifest in _documents(path):
        if manifest["apiVersion"].startswith("ray.io/"):
            _require_schema(manifest, path.with_name("rayfields.schema.json"))
            for name, template in _pod_templates(manifest["spec"]):
                as_kind = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}}
                whole = {**as_kind, "template": {"metadata": {}, **template}}
                kubernetes_validate.validate(whole, KUBERNETES, strict=True)
                _require_unprivileged(name, template["spec"])
        else:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
            if manifest["kind"] == "Service" and manifest["spec"].get("type") != "ClusterIP":
                raise Wrong(f"service {manifest['metadata']['name']} is open to the outside")


def helm_values(path: Path) -> None:
    """Check values by the keys of the chart that are used here."""
    (values,) = _documents(path)
    _require_schema(values, path.with_name("worker-values.schema.json"))


def ray_cluster(path: Path) -> None:
    """Check a `ray up` file by Ray's schema, its nodes by EC2's, and what is open to the world."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    (config,) = _documents(path)
    validate_config(prepare_config(config))
    for name, node in config["available_node_types"].items():
        request = {**node["node_config"], "MinCount": 1, "MaxCount": 1, "ImageId": "ami"}
        _require_request("ec2", "RunInstances", request, f"node type {name}")
        if not node["node_config"].get("SecurityGroupIds"):
            raise Wrong(f"node type {name}: a group that Ray makes lets SSH in from all the world")
    for command in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        if "ray start" in command and "RAY_AUTH_MODE=token" not in command:
            raise Wrong(f"Ray is started without a token: {command}")
        if "--head" in command and "--dashboard-host=127.0.0.1" not in command:
            raise Wrong(f"the dashboard is not on the loopback interface: {command}")


def iam_policy(path: Path) -> None:
    """Check that a policy allows named actions on named things alone."""
    policy = json.loads(path.read_text(encoding="utf-8"))
    if policy["Version"] != "2012-10-17" or policy.keys() != {"Version", "Statement"}:
        raise Wrong("not a policy of version 2012-10-17")
    for statement in policy["Statement"]:
        if statement.keys() != {"Sid", "Effect", "Action", "Resource"}:
            raise Wrong(f"statement {statement.get('Sid')} has other keys than it should")
        if not re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"]) or statement["Effect"] != "Allow":
            raise Wrong(f"statement {statement['Sid']} is not one that allows")
        for action in statement["Action"]:
            if "*" in action or _operation(action) is None:
                raise Wrong(f"{statement['Sid']} allows {action}")
        for resource in statement["Resource"]:
            if not re.fullmatch(r"arn:aws:s3:::[A-Z]+-BUCKET(/\*)?", resource):
                raise Wrong(f"{statement['Sid']} reaches {resource}")


def lifecycle(path: Path) -> None:
    """Check life-cycle rules as a request to S3; uploads that were given up must be removed."""
    rules = json.loads(path.read_text(encoding="utf-8"))
    request = {"Bucket": "bucket", "LifecycleConfiguration": rules}
    _require_request("s3", "PutBucketLifecycleConfiguration", request, "the rules")
    if not any("AbortIncompleteMultipartUpload" in rule for rule in rules["Rules"]):
        raise Wrong("no rule aborts uploads that were given up")
    if any("Expiration" in rule for rule in rules["Rules"]):
        raise Wrong("a rule expires labels")


def prefect_deployments(path: Path) -> None:
    """Check the deployments by Prefect's own models, and their parameters by the flow's."""
    from prefect.cli.deploy._models import PrefectYamlModel
    from prefect.client.schemas.objects import ConcurrencyLimitConfig

    from flows.deployments import run_environment
    from flows.label_images import label_images
    from redepth.config import Deployment

    (content,) = _documents(path)
    wanted = run_environment(Deployment())
    for deployment in PrefectYamlModel.model_validate(content).deployments:
        if deployment.entrypoint != "flows.label_images.label_images":
            raise Wrong(f"{deployment.name}: {deployment.entrypoint} is not the flow")
        pool = deployment.work_pool
        given = ((pool.job_variables if pool else None) or {}).get("env", {})
        if lacking := wanted.keys() - given.keys():
            raise Wrong(f"{deployment.name}: its runs lack {', '.join(sorted(lacking))}")
        ConcurrencyLimitConfig.model_validate(deployment.concurrency_limit, from_attributes=True)
        label_images.validate_parameters(dict(deployment.parameters or {}))


def prefect_automations(path: Path) -> None:
    """Check automations by Prefect's own models."""
    from prefect.events.schemas.automations import AutomationCore

    (content,) = _documents(path)
    for automation in content["automations"]:
        AutomationCore.model_validate(automation)


def grafana_dashboard(path: Path) -> None:
    """Check that every panel asks for metrics that are there, from the chosen data source."""
    from redepth.cluster import metrics

    source = Path(metrics.__file__).read_text(encoding="utf-8")
    known = {f"ray_{name}" for name in re.findall(r'"(redepth_\w+)"', source)}
    board = json.loads(path.read_text(encoding="utf-8"))
    if not {"title", "uid", "panels", "templating", "schemaVersion"} <= board.keys():
        raise Wrong("not a dashboard")
    ids = [panel["id"] for panel in board["panels"]]
    if len(ids) != len(set(ids)):
        raise Wrong("two panels have one id")
    for panel in board["panels"]:
        for target in panel["targets"]:
            asked = set(re.findall(r"ray_redepth_\w+?(?=_bucket|_sum|_count|_total|[^\w])",
                                   target["expr"] + " "))  # fmt: skip
            if asked - known or target["expr"].count("(") != target["expr"].count(")"):
                raise Wrong(f"panel {panel['title']}: {target['expr']}")
        if panel["datasource"]["uid"] != "${datasource}":
            raise Wrong(f"panel {panel['title']} has a data source of its own")


def shell(path: Path) -> None:
    """Check a script; one that starts a server has it listen on the loopback, behind a secret."""
    _run(BIN / "shellcheck", "--severity=style", "--exclude=SC2012", path)
    text = path.read_text(encoding="utf-8")
    for said in SAYS.get(f"{path.parent.name}/{path.name}", ()):
        if said not in text:
            raise Wrong(f"it starts a server without `{said.strip()}`")


Check = Callable[[Path], None]
CHECKS: dict[str, tuple[Check, ...]] = {
    "docker/Dockerfile": (dockerfile,),
    "compose/compose.yaml": (yaml_style, compose_schema, compose_hardening, compose_secrets),
    "compose/env.example": (no_secrets,),
    "kuberay/ray*.yaml": (yaml_style, kubernetes),
    "kuberay/raycluster.yaml": (network_policy,),
    "kuberay/prefect-worker-values.yaml": (yaml_style, helm_values),
    "ray/*.yaml": (yaml_style, ray_cluster),
    "aws/*-policy.json": (iam_policy,),
    "aws/lifecycle.json": (lifecycle,),
    "prefect.yaml": (yaml_style, prefect_deployments),
    "automations.yaml": (yaml_style, prefect_automations),
    "grafana/redepth.json": (grafana_dashboard,),
    "grafana/*.yaml": (yaml_style,),
    "**/*.sh": (shell,),
}


def _run(*command: object) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Wrong((done.stdout + done.stderr).strip())


def _metrics_ports(command: Iterable[str]) -> list[str]:
    return re.findall(r"--metrics-export-port=(\d+)", " ".join(command))


def _is_written_secret(name: str, value: str) -> bool:
    """Return whether a variable holds a secret that is not taken from .env."""
    is_secret = name not in NOT_SECRET and SECRET.search(name) is not None
    has_password = re.search(r"://[^/]*@", value) is not None
    return (is_secret or has_password) and re.search(r"\$\{\w+:\?", value) is None


def _asks(environment: Mapping[str, str]) -> bool:
    """Return whether what listens is told to ask for its secret."""
    return (
        environment.get("RAY_AUTH_MODE", "token") == "token"
        and environment.get("POSTGRES_HOST_AUTH_METHOD", "scram-sha-256") == "scram-sha-256"
    )


def _documents(path: Path) -> list[Any]:
    return [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d is not None]


def _require_schema(value: Any, schema: Path) -> None:
    import jsonschema

    jsonschema.validate(value, json.loads(schema.read_text(encoding="utf-8")))


def _pod_templates(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    cluster = spec.get("rayClusterSpec", spec)
    yield "head", cluster["headGroupSpec"]["template"]
    for group in cluster["workerGroupSpecs"]:
        yield group["groupName"], group["template"]


def _require_unprivileged(name: str, spec: dict[str, Any]) -> None:
    if not spec.get("securityContext", {}).get("runAsNonRoot"):
        raise Wrong(f"pod {name} may run as root")
    for container in spec["containers"]:
        if container.get("securityContext", {}).get("allowPrivilegeEscalation") is not False:
            raise Wrong(f"container {container['name']} may gain privileges")


def _require_request(service: str, operation: str, request: dict[str, Any], what: str) -> None:
    """Hold a request to the shape that AWS states for it."""
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model(service)
    shape = model.operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise Wrong(f"{what}: {report.generate_report()}")


def _operation(action: str) -> str | None:
    """Return the action if S3 knows it: an operation's name, but for the listings of a bucket."""
    import botocore.session

    names = botocore.session.get_session().get_service_model("s3").operation_names
    name = action.removeprefix("s3:")
    listings = ("ListBucket", "ListBucketMultipartUploads")
    return name if name in (*listings, *names) else None


if __name__ == "__main__":
    main()
