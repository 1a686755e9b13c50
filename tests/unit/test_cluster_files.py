"""Cluster files, held against what reads them: Ray's launcher, Ray Serve, `ray start`, our own commands.

KubeRay's operator is not here. Its field names are those of ray-project/kuberay (Apache-2.0),
ray-operator/apis/ray/v1/{raycluster,rayjob,rayservice}_types.go.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlpersona.config import ServeConfig
from rlpersona.presets import SWEEP
from tests.support import ROOT

KUBERAY = ROOT / "deploy" / "kuberay"
KINDS = {"rayjob": "RayJob", "rayservice": "RayService"}
CLUSTER_FIELDS = {
    *("upgradeStrategy", "authOptions", "suspend", "managedBy", "autoscalerOptions"),
    *("headServiceAnnotations", "enableInTreeAutoscaling", "gcsFaultToleranceOptions"),
    *("networkPolicy", "tlsOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs"),
}
JOB_FIELDS = {
    *("activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "submitterPodTemplate", "metadata"),
    *("clusterSelector", "submitterConfig", "managedBy", "deletionStrategy", "entrypoint"),
    *("runtimeEnvYAML", "jobId", "submissionMode", "entrypointResources", "entrypointNumCpus"),
    *("entrypointNumGpus", "ttlSecondsAfterFinished", "shutdownAfterJobFinishes", "suspend"),
}
SERVICE_FIELDS = {"serveConfigV2", "rayClusterConfig", "serveService"}
HEAD_FIELDS = {"serviceType", "headService", "enableIngress", "rayStartParams", "template"}
WORKER_FIELDS = {
    *("groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "rayStartParams"),
    *("template", "scaleStrategy"),
}
AUTH_FIELDS = {"mode", "secretName", "enableK8sTokenAuth"}


def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((KUBERAY / f"{name}.yaml").read_text())
    return loaded


def cluster_of(name: str) -> dict[str, Any]:
    spec = read(name)["spec"]
    found: dict[str, Any] = spec.get("rayClusterSpec") or spec["rayClusterConfig"]
    return found


def groups(name: str) -> Iterator[dict[str, Any]]:
    cluster = cluster_of(name)
    yield cluster["headGroupSpec"]
    yield from cluster["workerGroupSpecs"]


@pytest.fixture(scope="module")
def start_options() -> set[str]:
    """The options of the installed `ray start`."""
    from ray.scripts.scripts import start

    return {option.removeprefix("--") for one in start.params for option in one.opts}


def launcher_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    from ray.autoscaler._private.util import prepare_config

    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("token")
    monkeypatch.chdir(ROOT)
    prepared: dict[str, Any] = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    return prepared


def test_the_launcher_takes_cluster_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.autoscaler._private.util import validate_config

    config = launcher_config(tmp_path, monkeypatch)
    validate_config(config)
    types = config["available_node_types"]
    assert types["head"]["max_workers"] == 0
    assert types["gpu"]["min_workers"] == 0
    assert types["gpu"]["max_workers"] == config["max_workers"] == 8
    assert types["gpu"]["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert "InstanceMarketOptions" not in types["head"]["node_config"]


def test_the_launcher_would_refuse_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.autoscaler._private.util import validate_config

    config = launcher_config(tmp_path, monkeypatch)
    with pytest.raises(Exception, match="max_wrokers"):
        validate_config({**config, "max_wrokers": 1})


def test_cluster_yaml_locks_what_it_starts() -> None:
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    assert config["setup_commands"], "the default would install another Ray"
    for command in (config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]):
        assert "RAY_AUTH_MODE=token" in command
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][-1]
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"][0]
    assert {".venv", "runs", ".git"} <= set(config["rsync_exclude"])


def test_ray_start_knows_every_option_of_the_launcher(start_options: set[str]) -> None:
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    words = [word for command in commands for word in shlex.split(command)]
    used = {word[2:].partition("=")[0] for word in words if word.startswith("--")}
    assert used >= {"head", "address", "port"}
    assert used <= start_options


def test_every_command_of_the_launcher_is_whole() -> None:
    """For YAML ` #` begins a comment, in the middle of a quoted word of the shell, too."""
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    commands = [
        command for name, value in config.items() if name.endswith("commands") for command in value
    ]
    assert len(commands) > 8
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True)
    (exported,) = (command for command in commands if ">> ~/.bashrc" in command)
    assert "HF_HOME=/shared/huggingface # rlpersona-env" in exported


@pytest.mark.parametrize("name", KINDS)
def test_kuberay_knows_every_field(name: str) -> None:
    loaded = read(name)
    assert (loaded["apiVersion"], loaded["kind"]) == ("ray.io/v1", KINDS[name])
    assert set(loaded["spec"]) <= (JOB_FIELDS if name == "rayjob" else SERVICE_FIELDS)
    cluster = cluster_of(name)
    assert set(cluster) <= CLUSTER_FIELDS
    assert set(cluster["authOptions"]) <= AUTH_FIELDS
    assert cluster["authOptions"]["mode"] == "token"
    assert set(cluster["headGroupSpec"]) <= HEAD_FIELDS
    for worker in cluster["workerGroupSpecs"]:
        assert set(worker) <= WORKER_FIELDS
        assert worker["minReplicas"] <= worker["replicas"] <= worker["maxReplicas"]


@pytest.mark.parametrize("name", KINDS)
def test_ray_start_knows_every_parameter(name: str, start_options: set[str]) -> None:
    from importlib.metadata import version

    assert cluster_of(name)["rayVersion"] == version("ray")
    for group in groups(name):
        assert set(group["rayStartParams"]) <= start_options
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


@pytest.mark.parametrize("name", KINDS)
def test_pods_have_what_ray_needs(name: str) -> None:
    for group in groups(name):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert set(mounts.values()) == set(volumes), "what is mounted is there, and the reverse"
        assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
        assert volumes[mounts["/shared"]]["persistentVolumeClaim"]["claimName"] == "rlpersona-shared"
        assert container["resources"]["requests"] == container["resources"]["limits"]
        gpus = container["resources"]["limits"].get("nvidia.com/gpu", "0")
        assert group["rayStartParams"]["num-gpus"] == gpus
        assert bool(pod.get("tolerations")) == (gpus != "0")
        assert pod["securityContext"]["runAsNonRoot"]
    claim = read("storage")
    assert claim["metadata"]["name"] == "rlpersona-shared"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize("name", KINDS)
def test_no_key_stands_in_a_file(name: str) -> None:
    for group in groups(name):
        for variable in group["template"]["spec"]["containers"][0].get("env", ()):
            if variable["name"].endswith(("_KEY", "_TOKEN")):
                assert set(variable) == {"name", "valueFrom"}
                assert "secretKeyRef" in variable["valueFrom"]


def test_the_rayjob_starts_a_job_that_exists() -> None:
    spec = read("rayjob")["spec"]
    words = shlex.split(spec["entrypoint"])
    assert words[0] == "python"
    assert (ROOT / words[1]).is_file()
    assert words[2] in SWEEP
    assert words[words.index("--runs") + 1].startswith("/shared/")
    done = subprocess.run(
        [sys.executable, *words[1:], "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["name"] == words[2]
    assert yaml.safe_load(spec["runtimeEnvYAML"]) == {"working_dir": "/opt/rlpersona"}


def test_serve_takes_the_config_of_the_rayservice() -> None:
    from ray.serve.schema import ServeDeploySchema

    text = read("rayservice")["spec"]["serveConfigV2"]
    schema = ServeDeploySchema.model_validate(yaml.safe_load(text))
    (application,) = schema.applications
    module, _, name = application.import_path.partition(":")
    assert f"def {name}(" in (ROOT / f"{module.replace('.', '/')}.py").read_text()
    arguments = {key: value for key, value in application.args.items() if key != "root"}
    config = ServeConfig.model_validate(arguments)
    assert config.token_file, "a pod listens on all of its addresses"
    mounts = [
        mount["mountPath"]
        for group in groups("rayservice")
        for mount in group["template"]["spec"]["containers"][0]["volumeMounts"]
    ]
    assert mounts.count(str(Path(config.token_file).parent)) == 2, "on the head and on workers"


def test_the_image_has_what_the_files_start() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    copied = {word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]}
    assert copied >= {"pyproject.toml", "requirements", "rlpersona", "jobs"}
    assert all((ROOT / word).exists() for word in copied)
    assert lines[-1] == "USER ray"
