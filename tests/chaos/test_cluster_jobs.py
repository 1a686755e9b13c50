"""SIGKILL on the parts of a real cluster: a head and two raylets beside it, each with one core.

Whatever dies (a trainer's process, a model replica, the actor that asks a judge, a machine, the head),
the run ends in the tables and weights of one that nothing disturbed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.heads import Head, Node, running_head
from tests.judge_server import Server, judge_server
from tests.processes import Driver, titled
from tests.support import ROOT

BANDIT = [
    "bandit",
    "quickstart",
    "rounds=18",
    "questions_per_round=96",
    "checkpoint_every=2",
    "validation.questions=20",
    "bystanders=4",
    "model.chunk=64",
]
GRPO = [
    "grpo",
    "suite.domains=math,opinion",
    "suite.size=24",
    "suite.evaluation=4",
    "reward.biases.length=0.5",
    "recipe.lora.rank=4",
    "recipe.learning_rate=2e-3",
    "recipe.batch=16",
    "recipe.num_generations=4",
    "recipe.max_completion=32",
    "recipe.max_steps=24",
    "recipe.checkpoint_every=1",
    "readout.samples=1",
    "readout.held_out=0",
]
REPLICA, TRAINER, ASKER = "ray::Holder", "ray::RayTrainWorker", "ray::Crew"
KEY = "sk-of-the-local-judge"


def joined(head: Head, root: Path, name: str, *words: str, runs: str = "") -> Driver:
    """`rlpersona ...` in a process of its own that joins the cluster, as a submitted job does."""
    own = {"XDG_CACHE_HOME": str(root / "cache")}
    return Driver(root, name, *words, runs=runs, cwd=ROOT, env={**head.driver, **own})


class Cluster:
    """The head, which has no core for work, and its nodes."""

    def __init__(self, head: Head, server: Server) -> None:
        self.head, self.server = head, server

    def nodes(self) -> list[Node]:
        """Head and raylets that live."""
        every = [*([self.head.main] if self.head.main else []), *self.head.nodes]
        return [node for node in every if node.process.is_running()]

    def complete(self) -> None:
        """Two nodes again where one was killed: each of two runs needs one."""
        while sum(node.process.is_running() for node in self.head.nodes) < 2:
            self.head.add_node(cpus=1)

    def all_of(self, title: str) -> list[tuple[Node, psutil.Process]]:
        """Processes with that title, and where they run."""
        return [(node, part) for node in self.nodes() for part in titled(node.process, title)]

    def one(self, title: str) -> tuple[Node, psutil.Process]:
        """The only process with that title."""
        found = self.all_of(title)
        assert len(found) == 1, found
        return found[0]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)  # nodes hold keys, drivers hand none over
        with (
            running_head(tmp_path_factory.mktemp("head"), cpus=0) as head,
            judge_server(latency=0.1, key=KEY) as server,
        ):
            for _ in range(2):
                head.add_node(cpus=1)
            yield Cluster(head, server)


@pytest.fixture(scope="module")
def calm_bandit(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return joined(cluster.head, tmp_path_factory.mktemp("bandit"), "calm", *BANDIT).finish()


@pytest.fixture(scope="module")
def calm_grpo(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return joined(cluster.head, tmp_path_factory.mktemp("grpo"), "calm", *GRPO).finish()


def same_search(folder: Path, calm: Path) -> None:
    """Equal tables and results, and every round once."""
    for name in ("events", "personas", "validation"):
        ours, theirs = (pd.read_parquet(one / f"{name}.parquet") for one in (folder, calm))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    ours, theirs = (json.loads((one / "summary.json").read_text()) for one in (folder, calm))
    assert {**ours, "run": "", "seconds": 0} == {**theirs, "run": "", "seconds": 0}
    rounds = [json.loads(line)["round"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rounds == list(range(1, len(rounds) + 1))


def same_training(folder: Path, calm: Path) -> None:
    """The weights byte for byte, the same log but for times, the same answers; it did resume."""
    weights = "adapter/adapter_model.safetensors"
    assert (folder / weights).read_bytes() == (calm / weights).read_bytes()
    logs = [[json.loads(row) for row in (f / "metrics.jsonl").open()] for f in (folder, calm)]
    for row in logs[0] + logs[1]:
        row.pop("step_time", None)
    assert logs[0] == logs[1]
    tables = [pd.read_parquet(f / "readout.parquet").drop(columns="condition") for f in (folder, calm)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert json.loads((calm / "done.json").read_text())["resumed_at"] == 0
    assert json.loads((folder / "done.json").read_text())["resumed_at"] > 0


def test_a_killed_model_replica_is_replaced(cluster: Cluster, calm_bandit: Path, tmp_path: Path) -> None:
    driver = joined(cluster.head, tmp_path, "hurt", *BANDIT)
    driver.wait_for_lines(3)
    cluster.one(REPLICA)[1].kill()
    same_search(driver.finish(), calm_bandit)


def test_a_killed_trainer_goes_on_from_its_checkpoint(
    cluster: Cluster, calm_grpo: Path, tmp_path: Path
) -> None:
    driver = joined(cluster.head, tmp_path, "hurt", *GRPO)
    driver.wait_for_lines(3)
    cluster.one(TRAINER)[1].kill()
    same_training(driver.finish(), calm_grpo)


def test_a_killed_judge_actor_loses_and_doubles_no_label(cluster: Cluster, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"What is {k} + 1?", "a": f"It is {k + 1}.", "b": "No idea."} for k in range(300)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["label", "ai", f"pairs={pairs}", "--judge", "openai", "--judge-model", "gpt-4o"]
    words += ["--base-url", cluster.server.base_url]

    def labels(folder: Path) -> pd.DataFrame:
        (file,) = (folder / "labels").glob("*.jsonl")
        table = pd.DataFrame([json.loads(line) for line in file.open()])
        return table[["pair", "choice"]].sort_values("pair", ignore_index=True)

    calm = labels(joined(cluster.head, tmp_path, "calm", *words).finish())
    cluster.server.reset()
    cluster.server.faults(latency=0.5)  # time to kill
    driver = joined(cluster.head, tmp_path, "hurt", *words)
    driver.wait(lambda: cluster.server.stats().requests >= 100)
    cluster.one(ASKER)[1].kill()
    found = labels(driver.finish())
    pd.testing.assert_frame_equal(found, calm)
    assert len(found) == found["pair"].nunique() == len(rows)
    assert not found["choice"].isna().any()


def test_a_run_that_only_one_machine_sees_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    """`--runs URI` works in a folder of the driver's machine: the workers of others would not see it."""
    driver = joined(cluster.head, tmp_path, "far", *BANDIT, runs=f"file://{tmp_path}/there")
    assert driver.process.wait(300) == 2
    said = driver.log.read_text()
    assert "The cluster has 3 nodes" in said
    assert "RLPERSONA_SCRATCH" in said
    assert not [path for path in (tmp_path / "there").rglob("*") if path.is_file()]


def test_a_lost_machine_costs_no_step(cluster: Cluster, calm_grpo: Path, tmp_path: Path) -> None:
    driver = joined(cluster.head, tmp_path, "lost", *GRPO)
    driver.wait_for_lines(3)
    node, trainer = cluster.one(TRAINER)
    assert node is not cluster.head.main
    node.kill()
    _, alive = psutil.wait_procs([trainer], timeout=120)
    assert not alive
    same_training(driver.finish(), calm_grpo)


def test_a_dead_head_and_a_restart_resume_to_the_same_result(
    cluster: Cluster, calm_bandit: Path, calm_grpo: Path, tmp_path: Path
) -> None:
    """GCS is in memory: the restarted head knows nothing, the run folder everything."""
    head = cluster.head
    cluster.complete()
    drivers = [
        (joined(head, tmp_path, "bandit", *BANDIT), BANDIT),
        (joined(head, tmp_path, "grpo", *GRPO), GRPO),
    ]
    for driver, _ in drivers:
        driver.wait_for_lines(3)
    head.kill()
    for driver, _ in drivers:
        assert driver.process.wait(300) != 0
        assert "cluster of this run is gone" in driver.log.read_text()
        assert "Traceback" not in driver.log.read_text()
        assert not (driver.folder / "summary.json").exists(), "killed too late to show anything"
    for node in head.nodes:
        node.close()
    head.nodes.clear()
    head.restart()
    head.add_node(cpus=2)
    again = [joined(head, tmp_path, one.folder.name, *words, "--resume") for one, words in drivers]
    same_search(again[0].finish(), calm_bandit)
    same_training(again[1].finish(), calm_grpo)
