"""The compose file keeps its own rules: bounded, closed to others, hardened, pinned."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.load import load
from pipeline.config.overrides import RESERVED
from pipeline.slo.load import load_slo

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {"topics", "simulate-fraud", "simulate-vision", "fraud", "vision", "slo"}
THEIRS = {"kafka", "prometheus", "alertmanager", "grafana"}
UNIT_S = {"s": 1, "m": 60}


def test_these_are_the_services() -> None:
    assert set(SERVICES) == OURS | THEIRS


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_hardened_and_pinned(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) <= 1
    assert re.fullmatch(r"\d+[mg]", limits["memory"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"]
    assert "privileged" not in service
    assert service.get("read_only") or name == "kafka"
    assert service["logging"]["options"]["max-size"]
    image = re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"])
    assert name in OURS or re.search(r":v?\d+\.\d+\.\d+$", image), image


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    assert all(re.match(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+$", port) for port in SERVICES[name].get("ports", []))


def test_what_is_set_from_outside_is_no_setting_of_the_product() -> None:
    """Exported in a shell, it would be refused by `headrace` as a setting that nobody reads."""
    assert not [name for name in re.findall(r"(?<!\$)\$\{(\w+)", TEXT) if name.startswith("HEADRACE_")]


@pytest.mark.parametrize("name", sorted(OURS - {"slo"}))
def test_the_environment_of_our_services_is_read(name: str) -> None:
    pipeline = name.removeprefix("simulate-")
    environ = _environment(name)
    loaded = load("fraud" if pipeline == "topics" else pipeline, environ=environ)
    assert loaded.config.kafka.bootstrap == "kafka:9092"
    if name in ("fraud", "vision"):
        assert loaded.config.http.token
        assert not loaded.config.http.local
        assert loaded.config.kafka.instance_id == name
        grace = SERVICES[name]["stop_grace_period"]
        assert int(grace[:-1]) * UNIT_S[grace[-1]] > 2 * loaded.config.engine.drain_ms_max / 1000


def test_the_environment_of_the_slo_app_is_read() -> None:
    config = load_slo("slo", environ=_environment("slo"))
    assert config.alertmanager.url == "http://alertmanager:9093"
    assert config.kafka.bootstrap == "kafka:9092"


def test_what_a_service_waits_for_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for needed, wait in service.get("depends_on", {}).items():
            healthy = SERVICES[needed].get("healthcheck", {})
            if wait["condition"] == "service_healthy":
                assert healthy.get("test") or needed in OURS
                assert not healthy.get("disable")
            else:
                assert wait["condition"] == "service_completed_successfully"
                assert SERVICES[needed]["restart"].startswith("on-failure:")


def test_mounted_folders_are_there_and_prometheus_scrapes_what_is_served() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in FILE["volumes"] or (ROOT / source).is_dir(), volume
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in scraped for static in job["static_configs"] for target in static["targets"]]
    for target in targets:
        service, _, port = target.partition(":")
        served = {
            line.rpartition(":")[2] for line in SERVICES["prometheus" if service == "localhost" else service]["ports"]
        }
        assert port in served, target


def test_the_gpu_file_changes_services_that_there_are() -> None:
    changes = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())["services"]
    assert set(changes) <= OURS
    for name in ("fraud", "vision"):
        config = load(name, environ={**_environment(name), **_texts(changes[name]["environment"])}).config
        assert config.tiers[0].providers == ("CUDAExecutionProvider",)


def _environment(name: str) -> dict[str, str]:
    found = _texts(SERVICES[name].get("environment", {}))
    assert not RESERVED & set(found)
    return found


def _texts(environment: dict[str, Any]) -> dict[str, str]:
    """As a container gets it: text, with the defaults of what is not set outside."""
    texts = {key: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value)) for key, value in environment.items()}
    return {key: value for key, value in texts.items() if key.startswith("HEADRACE_")}
