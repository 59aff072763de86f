"""The manifests agree with each other, with the configurations and with the metrics; kustomize renders them."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.load import load
from pipeline.slo.load import load_slo

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("overlays/local", "overlays/keda", "overlays/exactly-once")
SERVING = {"fraud": "9464", "vision": "9464", "slo": "9480"}
METRICS = (ROOT / "docs" / "metrics.md").read_text()
Document = dict[str, Any]


def documents(path: Path) -> list[Document]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def rendered(folder: str) -> list[Document]:
    """What kustomize makes of a folder; a user without it skips."""
    for command in (["kubectl", "kustomize"], ["kustomize", "build"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, str(FOLDER / folder)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return [document for document in yaml.safe_load_all(done.stdout) if document]
    pytest.skip("neither kubectl nor kustomize is installed")


def workloads(found: list[Document]) -> Iterator[Document]:
    yield from (document for document in found if document["kind"] in ("Deployment", "StatefulSet", "Job"))


def containers(workload: Document) -> list[Document]:
    pod = workload["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def environment(container: Document) -> dict[str, str]:
    return {
        entry["name"]: entry.get("value", "set-elsewhere")
        for entry in container.get("env", [])
        if entry["name"].startswith("HEADRACE_")
    }


def test_every_file_is_used_and_every_file_named_is_there() -> None:
    named: set[Path] = set()
    for path in FOLDER.rglob("kustomization.yaml"):
        (tables,) = documents(path)
        patches = [patch["path"] for patch in tables.get("patches", []) if "path" in patch]
        for name in [*tables.get("resources", []), *patches]:
            target = (path.parent / name).resolve()
            assert target.exists(), f"{path}: {name}"
            named.add(target)
    files = {path.resolve() for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml"}
    assert files <= named


def test_images_are_pinned() -> None:
    for path in FOLDER.rglob("*.yaml"):
        for image in re.findall(r"image: (\S+)", path.read_text()):
            assert image == "headrace" or re.search(r":\d+\.\d+\.\d+$", image), f"{path}: {image}"
    assert "latest" not in "".join(path.read_text() for path in FOLDER.rglob("*.yaml"))


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "overlays" / "keda").glob("[fv]*.yaml")), ids=lambda path: path.stem
)
def test_scaling_asks_for_what_there_is(path: Path) -> None:
    (scaled,) = documents(path)
    name = scaled["spec"]["scaleTargetRef"]["name"]
    config = load(name, environ={}).config
    triggers = {trigger["type"]: trigger for trigger in scaled["spec"]["triggers"]}
    assert set(triggers) == {"kafka", "prometheus", "cpu"}
    lag = triggers["kafka"]["metadata"]
    assert lag["consumerGroup"] == config.kafka.common["group.id"]
    assert lag["topic"] == config.catalog.decided.topic
    query = triggers["prometheus"]["metadata"]["query"]
    assert f'pipeline="{config.pipeline.name}"' in query
    assert "degraded|expired" in query
    for metric in re.findall(r"headrace_\w+", query):
        assert f"| `{metric}` |" in METRICS, metric
    (topics,) = documents(FOLDER / "base" / "topics.yaml")
    for container in containers(topics):
        partitions = container["args"][container["args"].index("--partitions") + 1]
        assert scaled["spec"]["maxReplicaCount"] <= int(partitions)


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_selectors_and_ports_meet(folder: str) -> None:
    found = rendered(folder)
    pods = {
        document["metadata"]["name"]: document["spec"]["template"]
        for document in workloads(found)
        if document["kind"] != "Job"
    }
    for document in found:
        name = document["metadata"]["name"]
        if document["kind"] in ("Deployment", "StatefulSet"):
            wanted = document["spec"]["selector"]["matchLabels"]
            assert wanted.items() <= pods[name]["metadata"]["labels"].items()
        if document["kind"] == "Service":
            chosen = [
                pod
                for pod in pods.values()
                if document["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
            ]
            assert chosen == [pods[name]], name
            ports = {port["name"]: port["containerPort"] for port in chosen[0]["spec"]["containers"][0]["ports"]}
            assert all(ports[port["targetPort"]] == port["port"] for port in document["spec"]["ports"])
        if document["kind"] == "PodDisruptionBudget":
            chosen_labels = document["spec"]["selector"]["matchLabels"]
            assert chosen_labels.items() <= pods[name]["metadata"]["labels"].items()


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_every_container_of_ours_is_hardened_bounded_and_probed(folder: str) -> None:
    for workload in workloads(rendered(folder)):
        pod = workload["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        for container in containers(workload):
            security = container["securityContext"]
            assert not security["allowPrivilegeEscalation"]
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security.get("readOnlyRootFilesystem") or container["name"] == "kafka"
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
        name = workload["metadata"]["name"]
        if name in SERVING:
            (served,) = pod["containers"]
            probes = {
                kind: served[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")
            }
            assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
            assert served["ports"][0]["containerPort"] == int(SERVING[name])
            assert environment(served)["HEADRACE_HTTP__PORT"] == SERVING[name]


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_configurations_are_the_shipped_ones_under_an_environment_that_is_read(folder: str) -> None:
    found = rendered(folder)
    maps = {document["metadata"]["name"]: document["data"] for document in found if document["kind"] == "ConfigMap"}
    (shared,) = (data for name, data in maps.items() if re.fullmatch(r"headrace-\w+", name))
    for workload in workloads(found):
        name = workload["metadata"]["name"]
        if name not in SERVING:
            continue
        (served,) = containers(workload)
        volumes = {volume["name"]: volume for volume in workload["spec"]["template"]["spec"]["volumes"]}
        shipped = (ROOT / "pipeline" / "configs" / f"{name}.toml").read_text()
        assert maps[volumes["config"]["configMap"]["name"]] == {f"{name}.toml": shipped}
        assert served["args"][-1] == f"/etc/headrace/{name}.toml"
        environ = {**shared, **environment(served)}
        if name == "slo":
            assert load_slo(name, environ=environ).http.port == int(SERVING[name])
        else:
            config = load(name, environ=environ).config
            assert config.http.port == int(SERVING[name])
            grace_ms = 1000 * workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
            assert grace_ms > 2 * config.engine.drain_ms_max
            assert config.exactly_once == (workload["kind"] == "StatefulSet")


def test_components_render_where_kustomize_is(tmp_path: Path) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    components = [os.path.relpath(path.parent, tmp_path) for path in FOLDER.glob("components/*/kustomization.yaml")]
    tables = {"resources": [os.path.relpath(FOLDER / "base", tmp_path)], "components": components}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(tables))
    done = subprocess.run(["kubectl", "kustomize", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kinds = {document["kind"] for document in yaml.safe_load_all(done.stdout)}
    assert {"ServiceMonitor", "NetworkPolicy"} <= kinds
