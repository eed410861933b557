"""The manifests in deploy/: held against the schemas of Kubernetes and Compose, and against what anew knows.

No container and no cluster runs here; `make test-deploy` installs what reads them.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from anew.app.alone import alone, lock_of, turned
from anew.app.policy import ProjectPolicy
from anew.cli._main import VERBS
from tests.app.small_project import YAML

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = ROOT / "build" / "deploy" / "bin"
KUBERNETES = "1.33"
_MANIFESTS = ("anew", "network", "backup", "gateways")
OF_KSERVE = {"minReplicas", "maxReplicas", "timeout"}
"""What a predictor has besides a pod's own fields: KServe's v1beta1 ComponentExtensionSpec."""


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def validated(folder: Path, *objects: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Ask the schemas of Kubernetes, which refuse what they do not know."""
    files = []
    for number, each in enumerate(objects):
        files.append(folder / f"{number}.yaml")
        files[-1].write_text(yaml.safe_dump(each))
    program = [str(TOOLS / "kubernetes-validate"), "--strict", "--kubernetes-version", KUBERNETES, *map(str, files)]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield everything that runs anew, as Kubernetes writes it."""
    stateful = documents("kubernetes/anew.yaml")[0]
    yield from (("anew.yaml", each) for each in stateful["spec"]["template"]["spec"]["containers"])
    gateways = documents("kubernetes/gateways.yaml")[0]["spec"]["template"]["spec"]["containers"]
    yield from (("gateways.yaml", each) for each in gateways)
    cron = documents("kubernetes/backup.yaml")[0]["spec"]["jobTemplate"]["spec"]
    yield "backup.yaml", cron["template"]["spec"]["containers"][0]
    yield "kserve.yaml", documents("kubernetes/kserve.yaml")[0]["spec"]["predictor"]["containers"][0]


def test_kubernetes_knows_every_field(tmp_path: Path) -> None:
    every = [each for name in _MANIFESTS for each in documents(f"kubernetes/{name}.yaml")]
    kinds = {"StatefulSet", "Service", "NetworkPolicy", "CronJob", "PodDisruptionBudget"}
    assert {each["kind"] for each in every} == kinds
    done = validated(tmp_path, *every)
    assert done.returncode == 0, done.stdout + done.stderr


def test_control_a_field_that_there_is_none_of_is_refused(tmp_path: Path) -> None:
    wrong = documents("kubernetes/anew.yaml")[0]
    wrong["spec"]["template"]["spec"]["containers"][0]["portz"] = []
    assert validated(tmp_path, wrong).returncode != 0
    wrong = documents("kubernetes/anew.yaml")[0]
    wrong["spec"]["replicas"] = "one"
    assert validated(tmp_path, wrong).returncode != 0


def test_the_predictor_is_a_pod_with_what_kserve_adds(tmp_path: Path) -> None:
    (service,) = documents("kubernetes/kserve.yaml")
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    predictor = dict(service["spec"]["predictor"])
    own = {name: predictor.pop(name) for name in OF_KSERVE}
    assert own["minReplicas"] == own["maxReplicas"] == 1  # a second one would serve nothing
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "anew"}, "spec": predictor}
    done = validated(tmp_path, pod)
    assert done.returncode == 0, done.stdout + done.stderr
    assert predictor["containers"][0]["name"] == "kserve-container"


def test_compose_knows_every_field() -> None:
    program = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*program, DEPLOY / "compose.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_they_are_written_as_yaml_is() -> None:
    program = [str(TOOLS / "yamllint"), "--strict", "--config-file", str(DEPLOY / ".yamllint"), str(DEPLOY)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "container"), list(containers()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_each_container_asks_for_a_verb_with_options_that_it_has(file: str, container: dict[str, Any]) -> None:
    verb, *words = container["args"]
    assert verb in VERBS
    told = subprocess.run(
        [sys.executable, "-m", "anew.cli", verb, "--help"], capture_output=True, text=True, check=True
    )
    assert all(word in told.stdout for word in words if word.startswith("--")), (file, words)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    for probe in ("readinessProbe", "livenessProbe"):
        path = container.get(probe, {}).get("httpGet", {}).get("path", "/v2/health/live")
        assert path in (ROOT / "src/anew/gateway/app.py").read_text() + (ROOT / "src/anew/gateway/gate.py").read_text()


def test_compose_wires_what_it_names() -> None:
    (compose,) = documents("compose.yaml")
    services = compose["services"]
    for name, each in services.items():
        assert set(each.get("depends_on", {})) <= services.keys(), name
    environment = services["control"]["environment"]
    (project,) = documents("project.yaml")
    policy = ProjectPolicy.model_validate(yaml.safe_load(YAML) | project)
    assert (policy.access.anonymous, policy.serving.host) == ("nobody", "0.0.0.0")  # noqa: S104  held, not bound
    assert policy.stores.database.removeprefix("env:") in environment
    assert "@postgres:5432/" in environment["ANEW_DATABASE"]
    assert policy.stores.compute == "ray://ray-head:10001"
    assert "--ray-client-server-port=10001" in services["ray-head"]["entrypoint"]
    bucket = policy.stores.lake.split("/")[2]
    assert f"ours/{bucket}" in services["buckets"]["command"][0]
    assert policy.stores.artifacts.split("/")[2] == bucket
    assert policy.serving.workers == 0  # the gateway is a service of its own
    assert services["gateway"]["pid"] == "service:control"
    assert all(port.startswith("127.0.0.1:") for each in services.values() for port in each.get("ports", ()))


def test_each_service_is_called_by_a_name_that_is_declared() -> None:
    (project,), (compose,) = documents("project.yaml"), documents("compose.yaml")
    (kustomization,) = documents("kubernetes/kustomization.yaml")
    every = [each for name in _MANIFESTS for each in documents(f"kubernetes/{name}.yaml")]
    services = [each["metadata"]["name"] for each in every if each["kind"] == "Service"]
    services += [f"{each['metadata']['name']}-predictor" for each in documents("kubernetes/kserve.yaml")]
    space = kustomization["namespace"]
    wanted = {f"{name}{rest}" for name in services for rest in ("", f".{space}", f".{space}.svc")}
    wanted |= {f"{name}.{space}.svc.cluster.local" for name in services}
    wanted |= {name for name, each in compose["services"].items() if "gateway" in each.get("command", ())[:1]}
    assert wanted == set(project["access"]["hosts"])
    told = (ROOT / "docs/how-to/kubernetes.md").read_text()
    (control,) = {each["metadata"]["name"] for each in documents("kubernetes/anew.yaml")}
    assert set(re.findall(r"kubectl (?:exec|port-forward) .*?([a-z]+-\d)", told)) == {f"{control}-0"}


def test_gateways_elsewhere_serve_what_the_project_publishes_and_have_no_more_than_they_need() -> None:
    (compose,), (project,) = documents("compose.yaml"), documents("project.yaml")
    replica, words = compose["services"]["replica"], compose["services"]["replica"]["command"]
    assert words[words.index("--from") + 1] == project["stores"]["replicas"]
    assert not {"ANEW_DATABASE", "RAY_AUTH_TOKEN"} & set(replica["environment"])
    assert [each for each in replica["volumes"] if "keys" in each] == [
        "./project/.anew/keys/signing.pub:/key/signing.pub:ro"  # the public half, not the folder
    ]
    assert "/serving" in replica["volumes"]  # a volume of its own for each
    gateways, *_ = documents("kubernetes/gateways.yaml")
    (container,) = gateways["spec"]["template"]["spec"]["containers"]
    assert {"$(ANEW_REPLICAS)", "env:ANEW_KEY"} < set(container["args"])
    assert container["envFrom"] == [{"secretRef": {"name": "anew-gateways"}}]
    claims = {each["metadata"]["name"] for each in gateways["spec"]["volumeClaimTemplates"]}
    assert {each["name"] for each in container["volumeMounts"]} == claims  # none that pods would share


def probes_of_the_loop() -> list[list[str]]:
    """Return the commands by which Kubernetes and Compose ask whether the loop hangs."""
    control = documents("kubernetes/anew.yaml")[0]["spec"]["template"]["spec"]["containers"][0]
    (compose,) = documents("compose.yaml")
    kind, command = compose["services"]["control"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    return [control["livenessProbe"]["exec"]["command"], ["sh", "-c", command]]


@pytest.mark.parametrize("command", probes_of_the_loop())
def test_a_loop_lives_while_its_lock_is_young(command: list[str], tmp_path: Path) -> None:
    lock = lock_of(tmp_path / ".anew")
    here = [word.replace("/project/", f"{tmp_path}/") for word in command]
    key = tmp_path / ".anew" / "keys" / "signing.pub"
    key.parent.mkdir(parents=True)
    key.touch()

    def asked() -> bool:
        return subprocess.run(here, capture_output=True, check=False).returncode == 0

    assert here != command
    assert not asked(), "there is no lock"
    with alone(lock):
        assert asked()
        os.utime(lock, (time.time() - 660, time.time() - 660))
        assert not asked(), "it hangs"
        turned(tmp_path / ".anew")
        assert asked()


def test_by_compose_a_loop_is_healthy_once_there_is_the_key_that_replicas_mount(tmp_path: Path) -> None:
    (compose,), (_, command) = documents("compose.yaml"), probes_of_the_loop()
    key = Path(compose["services"]["replica"]["volumes"][-1].split(":")[0].replace("./project", str(tmp_path)))
    here = [word.replace("/project/", f"{tmp_path}/") for word in command]
    with alone(lock_of(tmp_path / ".anew")):
        assert subprocess.run(here, capture_output=True, check=False).returncode != 0
        key.parent.mkdir(parents=True)
        key.touch()
        assert subprocess.run(here, capture_output=True, check=False).returncode == 0


def test_no_secret_and_no_latest_image_stands_in_them() -> None:
    every = "\n".join(path.read_text() for path in sorted(DEPLOY.rglob("*")) if path.is_file())
    assert not re.search(r"image: \S+:latest", every)
    for line in re.findall(r"(?:PASSWORD|SECRET|TOKEN)\S*: (.*)", every):
        assert line.startswith(("${", "postgresql://anew:${")), line


def test_the_image_installs_from_the_locks() -> None:
    told = (DEPLOY / "Dockerfile").read_text()
    for name in re.findall(r"requirements/\w+\.txt", told):
        assert (ROOT / name).is_file()
    assert "--require-hashes" in told
    for name in re.findall(r"^COPY (.*) \S+$", told, re.MULTILINE):
        assert all((ROOT / each).exists() for each in name.split())
