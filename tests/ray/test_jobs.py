"""Jobs on a real head: the same result as on a laptop, and nothing lost when the submitter goes away."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from tests.heads import RAY, Head, free_port, running_head
from tests.support import ROOT, wait_until

BANDIT = ["bandit", "quickstart", "rounds=6", "validation.questions=40", "bystanders=4"]
GRPO = [
    *("grpo", "suite.domains=math,opinion", "suite.size=24", "suite.evaluation=4"),
    *("reward.biases.length=0.5", "recipe.lora.rank=4", "recipe.learning_rate=2e-3"),
    *("recipe.batch=8", "recipe.num_generations=4", "recipe.max_completion=24"),
    *("recipe.max_steps=60", "recipe.checkpoint_every=2", "readout.samples=1", "readout.held_out=0"),
]
KEY = "sk-never-to-be-seen-on-a-dashboard"
PATIENCE = 400


@pytest.fixture(scope="module")
def ray_cluster() -> None:
    """Not the local Ray of the other files here: jobs need a head of their own."""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with running_head(tmp_path_factory.mktemp("head")) as head:
        yield head


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "rlpersona.cli", *words]


def done(
    head: Head | None, *words: str, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """The command line, to its end: as a client of the head, or without a cluster."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = {**(head.environment if head else alone), **variables}
    return subprocess.run(
        command(*words),
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def begun(head: Head, folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """A command that goes on; its output is in `folder/printed`."""
    with (folder / "printed").open("wb") as out:
        return subprocess.Popen(
            command(*words), env=head.environment, stdout=out, stderr=subprocess.STDOUT
        )


def assert_same_tables(ours: Path, theirs: Path, *names: str) -> None:
    for name in names:
        one, other = pd.read_parquet(ours / name), pd.read_parquet(theirs / name)
        one, other = (table.drop(columns=["condition"], errors="ignore") for table in (one, other))
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def asked(head: Head, path: str) -> str:
    """What the dashboard tells about jobs."""
    request = urllib.request.Request(head.address + path)
    request.add_header("Authorization", f"Bearer {head.token.read_text()}")
    with urllib.request.urlopen(request, timeout=60) as reply:
        return str(reply.read().decode())


def test_a_job_whose_submitter_is_killed_ends_in_the_result_of_the_laptop(
    head: Head, runs: Path, tmp_path: Path
) -> None:
    variables = {"OPENAI_API_KEY": KEY, "OPENAI_API_KEY_FILE": "key", "RLPERSONA_SEED": "3"}
    environment = {**head.environment, **variables}
    (tmp_path / "mine.yaml").write_text("questions_per_round: 96\n")
    words = [*BANDIT, "mine.yaml", "name=sent"]
    with (tmp_path / "printed").open("wb") as out:
        client = subprocess.Popen(
            command("submit", *words, "--runs", str(runs)),
            env=environment,
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    printed = tmp_path / "printed"
    wait_until(
        lambda: "Running entrypoint" in printed.read_text() or client.poll() is not None, PATIENCE
    )
    assert client.poll() is None, printed.read_text()
    client.send_signal(signal.SIGKILL)
    client.wait()
    assert not (runs / "sent" / "summary.json").exists(), "killed too late to show anything"

    followed = done(head, "logs", "sent", "-f")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert "report.html" in followed.stdout
    listed = done(head, "runs", "--runs", str(runs), "--address", head.address).stdout
    assert [line for line in listed.splitlines() if line.split()[:2] == ["sent", "succeeded"]]

    here = done(None, *words, "--runs", str(tmp_path / "here"), cwd=tmp_path, RLPERSONA_SEED="3")
    assert here.returncode == 0, here.stderr
    tables = ("events.parquet", "personas.parquet", "validation.parquet")
    assert_same_tables(runs / "sent", tmp_path / "here" / "sent", *tables)
    commits = [
        json.loads((folder / "sent" / "provenance.json").read_text())["git_commit"]
        for folder in (runs, tmp_path / "here")
    ]
    assert commits[0] == commits[1]

    shown = asked(head, "/api/jobs/")
    assert str(tmp_path / "key") in shown, "the path of the key's file is passed on"
    assert KEY not in shown + followed.stdout


def test_a_training_that_is_stopped_and_resumed_gives_the_same_weights(
    head: Head, runs: Path, tmp_path: Path
) -> None:
    sent = done(head, "submit", *GRPO, "name=trained", "--runs", str(runs), "--no-wait")
    assert sent.returncode == 0, sent.stderr
    again = done(head, "submit", *GRPO, "name=trained", "--runs", str(runs))
    assert again.returncode == 8, "a second job on a run that is worked on"
    metrics = runs / "trained" / "metrics.jsonl"
    wait_until(lambda: metrics.exists() and metrics.read_text().count('"loss"') >= 3, PATIENCE)
    stopped = done(head, "stop", "trained")
    assert "stopped" in stopped.stdout, stopped.stdout + stopped.stderr
    assert "goes on with --resume" in done(head, "logs", "trained").stdout
    assert not (runs / "trained" / "summary.json").exists(), "stopped too late to show anything"

    elsewhere = (
        tmp_path / "elsewhere"
    )  # the run's folder is not seen from here: the job tells where it is
    resumed = done(head, "resume", "trained", "--address", head.address, "--runs", str(elsewhere))
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert json.loads((runs / "trained" / "done.json").read_text())["resumed_at"] >= 2

    here = done(None, *GRPO, "name=trained", "--runs", str(tmp_path / "here"))
    assert here.returncode == 0, here.stderr
    adapter = "adapter/adapter_model.safetensors"
    ours, theirs = runs / "trained", tmp_path / "here" / "trained"
    assert (ours / adapter).read_bytes() == (theirs / adapter).read_bytes()
    assert_same_tables(ours, theirs, "readout.parquet")


def test_the_exit_status_is_that_of_the_command(head: Head, runs: Path) -> None:
    (runs / "taken").mkdir(parents=True)
    (runs / "taken" / "config.yaml").write_text("name: taken\n")
    sent = done(head, "submit", *BANDIT, "name=taken", "--runs", str(runs))
    assert sent.returncode == 6, sent.stdout + sent.stderr
    assert "There is a run 'taken'" in sent.stdout, "the job's log is shown"


def test_ray_job_submit_as_typed(head: Head, runs: Path) -> None:
    words = ["quickstart", "rounds=2", "validation.questions=20", f"--runs={runs}", "name=typed"]
    typed = subprocess.run(
        [RAY, "job", "submit", "--working-dir", ".", "--", "python", "jobs/bandit.py", *words],
        env=head.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert json.loads((runs / "typed" / "summary.json").read_text())["winners"]


def test_a_log_is_read_once_and_whole_over_a_line_that_breaks(head: Head, tmp_path: Path) -> None:
    script = tmp_path / "talk.py"
    go = tmp_path / "go"
    script.write_text(
        "import os, time\n"
        "for i in range(60):\n"
        "    print(f'line {i:03d} \u00fc', flush=True)\n"
        f"    while i == 40 and not os.path.exists({str(go)!r}): time.sleep(.1)\n"
        "    time.sleep(.1)\n"
    )
    sent = [RAY, "job", "submit", "--no-wait", "--submission-id=talks", "--", "python", str(script)]
    subprocess.run(sent, env=head.environment, capture_output=True, timeout=PATIENCE, check=True)
    line = Line(head.dashboard)
    client = begun(head, tmp_path, "logs", "talks", "-f", "--address", f"http://127.0.0.1:{line.port}")
    printed = tmp_path / "printed"
    for seen in ("line 005", "line 020"):
        wait_until(lambda seen=seen: seen in printed.read_text(), PATIENCE)  # type: ignore[misc]
        line.cut()
    go.touch()
    assert client.wait(PATIENCE) == 0, printed.read_text()
    assert line.cuts >= 2
    told = [text for text in printed.read_text().splitlines() if text.startswith("line ")]
    assert told == [f"line {i:03d} ü" for i in range(60)]
    assert "is lost, trying again" in printed.read_text()


@pytest.mark.parametrize(("token", "said"), [("", "wants a token"), ("x" * 32, "refuses the token")])
def test_a_token_that_lacks_or_is_wrong_is_said(
    head: Head, tmp_path: Path, token: str, said: str
) -> None:
    file = tmp_path / "token"
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(file)} if token else {}
    file.write_text(token)
    answer = done(None, "logs", "x", "--address", head.address, HOME=str(tmp_path), **variables)
    assert answer.returncode == 14
    assert said in answer.stderr
    assert "RAY_AUTH_TOKEN_PATH" in answer.stderr
    assert "Traceback" not in answer.stderr


class Line:
    """A line to a port of 127.0.0.1 that can be cut: what goes over it breaks off in the middle."""

    def __init__(self, target: int) -> None:
        self.target, self.port, self.cuts = target, free_port(), 0
        self._ends: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._open, daemon=True).start()

    def cut(self) -> None:
        """Break every connection."""
        self.cuts += 1
        for end in self._ends:
            with suppress(OSError):  # its thread has closed it
                end.shutdown(socket.SHUT_RDWR)
        self._ends = []

    def _open(self) -> None:
        while True:
            near, _ = self._door.accept()
            far = socket.create_connection(("127.0.0.1", self.target))
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while piece := one.recv(65536):
                other.sendall(piece)
        except OSError:
            pass
        for end in (one, other):
            end.close()
