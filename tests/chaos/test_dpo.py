"""SIGKILL in the second stage, of its Train worker and then of the driver: the same weights come out."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil

from rlpersona.tasks.nano import questions
from tests.processes import Driver
from tests.support import wait_until

SECOND = "sft-dpo"


def write_rows(path: Path) -> None:
    """Preference rows over prompts that no evaluation asks."""

    def message(role: str, content: str) -> list[dict[str, str]]:
        return [{"role": role, "content": content}]

    rows = [
        {
            "prompt": message("user", question.text),
            "chosen": message("assistant", f"You should, because it is good {number} times."),
            "rejected": message("assistant", f"I cannot say {number}."),
        }
        for number, question in enumerate(questions(("opinion",), per_domain=24))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


class Stages(Driver):
    """`rlpersona dpo` in a process of its own."""

    def __init__(self, root: Path, name: str, *flags: str) -> None:
        file = root / "rows.jsonl"
        if not file.exists():
            write_rows(file)
        settings = [
            "graph=sft -> dpo",
            *(f"stages.{stage}.data.source=jsonl" for stage in ("sft", "dpo")),
            *(f"stages.{stage}.data.path={file}" for stage in ("sft", "dpo")),
            *("stages.sft.recipe.max_steps=4", "stages.sft.recipe.learning_rate=1e-3"),
            *("stages.dpo.recipe.max_steps=40", "stages.dpo.recipe.learning_rate=1e-3"),
            *("stages.dpo.recipe.batch=4", "stages.dpo.recipe.checkpoint_every=4"),
        ]
        super().__init__(root, name, "dpo", *settings, *flags)

    def steps(self) -> list[int]:
        """Steps of the second stage written so far."""
        path = self.folder / "stages" / SECOND / "metrics.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line)["step"] for line in lines]

    def wait_for_step(self, step: int) -> None:
        self.wait(lambda: step in self.steps())

    def train(self) -> None:
        """Let the second stage end; what would follow is not waited for."""
        done = self.folder / "stages" / SECOND / "done.json"
        wait_until(lambda: done.exists() or self.process.poll() is not None, 900)
        assert done.exists(), self.log.read_text()
        self.process.terminate()
        self.process.wait(120)


def test_a_twice_killed_second_stage_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    calm = Stages(tmp_path, "calm")
    calm.train()

    driver = Stages(tmp_path, "killed")
    driver.wait_for_step(10)
    (worker,) = driver.below("ray::RayTrainWorker")
    worker.send_signal(signal.SIGKILL)
    driver.wait_for_step(22)
    (second,) = driver.below("ray::RayTrainWorker")
    assert second.pid != worker.pid, "the dead worker was replaced, and its successor went on"
    driver.kill()
    assert not (driver.folder / "stages" / SECOND / "done.json").exists(), "killed too late"
    assert not psutil.wait_procs([second], timeout=120)[1], "nobody goes on training without a driver"
    first = driver.folder / "stages" / "sft" / "metrics.jsonl"
    trained_at = first.stat().st_mtime_ns

    again = Stages(tmp_path, "killed", "--resume")
    again.train()
    assert first.stat().st_mtime_ns == trained_at, "a trained stage is not trained again"
    record = json.loads((again.folder / "stages" / SECOND / "done.json").read_text())
    assert 8 <= record["measures"]["resumed_at"] <= 36, "it went on, it did not begin again"
    assert again.steps() == list(range(1, 41)), "each step stands there once"
    for part in ("sft/adapter", f"{SECOND}/adapter", f"{SECOND}/served"):
        ours, theirs = (
            (folder / "stages" / part / "adapter_model.safetensors").read_bytes()
            for folder in (again.folder, calm.folder)
        )
        assert ours == theirs, part
