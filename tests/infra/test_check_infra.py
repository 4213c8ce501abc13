"""`make check-infra` passes as it stands, and fails at whatever is broken on purpose."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow

# file, what is there, what is put in its place, words of the finding
BREAKS = [
    ("docker/Dockerfile", "USER 10001\n", "", "not root"),
    ("docker/Dockerfile", "    PYTHONSAFEPATH=1 \\\n", "", "PYTHONSAFEPATH"),
    ("docker/Dockerfile", "WORKDIR /src", "WORKDIR src", "DL3000"),
    ("docker/Dockerfile", "--no-install-recommends ", "", "DL3015"),
    ("compose/compose.yaml", "healthcheck:", "healthchek:", "healthchek"),
    ("compose/compose.yaml", '"127.0.0.1:4200:4200"', '"4200:4200"', "4200"),
    ("compose/compose.yaml", "  cap_drop: [ALL]\n", "  privileged: true\n", "privileged"),
    ("compose/compose.yaml", "  restart:", "  restart: no\n  restart:", "duplication"),
    ("compose/compose.yaml", "${PREFECT_AUTH:?set", "${PREFECT_AUTH:-admin:admin", "out of .env"),
    ("compose/compose.yaml", "${RAY_TOKEN:?set it in .env}", "change-me", "RAY_AUTH_TOKEN"),
    ("compose/compose.yaml", "RAY_AUTH_MODE: token", "RAY_AUTH_MODE: disabled", "asks for no"),
    ("compose/compose.yaml", "  PREFECT_SERVER_API_AUTH_STRING", "  OTHER", "asks for no secret"),
    ("compose/compose.yaml", "      POSTGRES_PASSWORD", "      OTHER", "asks for no secret"),
    ("compose/compose.yaml", "METHOD: scram-sha-256", "METHOD: trust", "asks for no secret"),
    ("compose/compose.yaml", "      ROOT_SECRET_KEY", "      OTHER", "asks for no secret"),
    ("compose/compose.yaml", '"127.0.0.1:8265:8265"', '"127.0.0.1:8080:8080"', "metrics"),
    ("compose/compose.yaml", '"127.0.0.1:8265:8265"', '"8265:8265"', "8265"),
    (
        "compose/compose.yaml",
        "        ${POSTGRES_PASSWORD:?set it in .env}@",
        "        prefect@",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL is not",
    ),
    ("compose/compose.yaml", '    user: "70"', '    user: "0:0"', "postgres runs as root"),
    ("compose/env.example", "RAY_TOKEN=", "RAY_TOKEN=change-me", "RAY_TOKEN has a value"),
    ("kuberay/raycluster.yaml", "ray.io/is-ray-node", "ray.io/cluster", "every pod of Ray"),
    ("kuberay/raycluster.yaml", "        - podSelector: {}", "        - {}", "every pod of Ray"),
    ("kuberay/raycluster.yaml", "accessModes", "acessModes", "acessModes"),
    ("kuberay/raycluster.yaml", "containerPort: 6379", 'containerPort: "6379"', "6379"),
    ("kuberay/raycluster.yaml", "    mode: token", "    mode: disabled", "token"),
    ("kuberay/raycluster.yaml", "serviceType: ClusterIP", "serviceType: LoadBalancer", "ClusterIP"),
    ("kuberay/raycluster.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "root"),
    (
        "kuberay/rayjob.yaml",
        "shutdownAfterJobFinishes: true",
        "shutdownAfterJobFinishes: 1",
        "True",
    ),
    ("kuberay/rayjob.yaml", "maxReplicas: 2", "maxReplica: 2", "maxReplica"),
    ("kuberay/rayjob.yaml", "tolerations:", "toleration:", "toleration"),
    ("kuberay/prefect-worker-values.yaml", "workPool:", "workpool:", "workpool"),
    ("ray/aws.yaml", "idle_timeout_minutes: 5", "idle_timeout: 5", "idle_timeout"),
    ("ray/aws.yaml", "SpotInstanceType", "SpotInstancetype", "SpotInstancetype"),
    ("ray/aws.yaml", "      SecurityGroupIds: [sg-00000000000000000]\n", "", "all the world"),
    ("ray/aws.yaml", "RAY_AUTH_MODE=token RAY", "RAY", "without a token"),
    ("ray/aws.yaml", "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "dashboard"),
    ("aws/labels-policy.json", '"s3:GetObject"]', '"s3:*"]', "s3:*"),
    ("aws/labels-policy.json", '"s3:DeleteObject"', '"s3:RemoveObject"', "RemoveObject"),
    ("aws/readers-policy.json", "arn:aws:s3:::LABELS-BUCKET/*", "*", "reaches *"),
    ("aws/lifecycle.json", "DaysAfterInitiation", "Days", "Days"),
    ("prefect.yaml", "size_px: 64", "size_px: 4", "size_px"),
    ("prefect.yaml", "collision_strategy: ENQUEUE", "collision_strategy: QUEUE", "QUEUE"),
    ("automations.yaml", "posture: Proactive", "posture: Active", "Proactive"),
    ("grafana/redepth.json", "ray_redepth_images_total", "ray_redepth_pictures_total", "pictures"),
    ("prefect.yaml", '    PYTHONSAFEPATH: "1"', '    OTHER: "1"', "PYTHONSAFEPATH"),
    ("postgres/up.sh", "--auth=scram-sha-256", "--auth=trust", "scram"),
    ("postgres/up.sh", "listen_addresses=127.0.0.1", "listen_addresses=*", "127.0.0.1"),
    ("s3/up.sh", "endpoint=127.0.0.1:", "endpoint=0.0.0.0:", "127.0.0.1"),
    ("postgres/up.sh", '"$bin/initdb" -D', "$bin/initdb -D", "SC2086"),
]


def check(folder: Path) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "scripts" / "check_infra.py"), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_infra_passes() -> None:
    code, said = check(ROOT / "infra")
    assert code == 0, said
    assert "WRONG" not in said


@pytest.mark.parametrize(("name", "old", "new", "words"), BREAKS)
def test_a_break_is_found(tmp_path: Path, name: str, old: str, new: str, words: str) -> None:
    """Only the broken file is there: the others say MISSING, which is not what is looked for."""
    broken = tmp_path / name
    broken.parent.mkdir(parents=True, exist_ok=True)
    for schema in (ROOT / "infra" / name).parent.glob("*.schema.json"):
        shutil.copy(schema, broken.parent)
    text = (ROOT / "infra" / name).read_text(encoding="utf-8")
    assert old in text
    broken.write_text(text.replace(old, new), encoding="utf-8")
    code, said = check(tmp_path)
    assert code == 1
    wrong = [part for part in said.split("\n") if part.startswith("WRONG")]
    assert wrong and all(name in line for line in wrong)
    assert words in said


def test_a_file_that_is_missing_is_found(tmp_path: Path) -> None:
    code, said = check(tmp_path)
    assert code == 1
    assert "MISSING docker/Dockerfile" in said
