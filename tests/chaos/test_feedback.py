"""SIGKILL on processes that draw and record: no acknowledged feedback is lost, none counts twice.

Three processes serve one policy on one file, as replicas do. Each draws, rewards its own draw, and says
so; then it says again what it said before, as clients do that got no answer.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rlpersona.experiments.bandit.inputs import make_policy
from rlpersona.serving.book import book_path
from rlpersona.serving.feedback import FeedbackBook
from rlpersona.serving.policy import bandit_config, live_policy
from rlpersona.store import Run
from rlpersona.tasks.identity import unit
from tests.unit.serving.served_runs import bandit_run

GROUP = 5

# argv: root, name, answers (0: for ever), SQLite statement at which to die (0: none), counted on the
# connection of the rewards from the last answer on. It prints what was acknowledged, a line each.
CHILD = """
import json, os, signal, sys
from pathlib import Path
from rlpersona.serving.feedback import FeedbackBook
from rlpersona.serving.policy import live_policy
from rlpersona.store import Run
from rlpersona.tasks.identity import digest, unit

root, name, answers, deadly = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
policy, feedback = live_policy(Run(root / "search")), FeedbackBook(root, ["search"])
statements = 0

def traced(statement):
    global statements
    statements += 1
    if statements == deadly:
        sys.stderr.write(statement.split()[0])
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)

def say(*words):
    os.write(1, (json.dumps(words) + "\\n").encode())

n = 0
while not answers or n < answers:
    response = f"{name} {n}"
    if deadly and n == answers - 1:
        feedback._books()[0][1]._database.set_trace_callback(traced)
    draw, _ = policy.draw(response)
    say("draw", response, draw.arm)
    feedback.record(response, unit(response))
    say("reward", response, draw.arm)
    feedback.record(f"{name} {n // 2}", unit(f"{name} {n // 2}"))
    n += 1
say("state", digest(policy.state()))
"""


def start(root: Path, name: str, answers: int = 0, deadly: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(root), name, str(answers), str(deadly)]
    home = Path(__file__).resolve().parents[2]
    with (root / f"{name}.said").open("w") as out:
        return subprocess.Popen(command, cwd=home, stdout=out, stderr=subprocess.PIPE, text=True)


def told(root: Path, name: str) -> list[list[Any]]:
    """What a process said in whole lines."""
    return [json.loads(line) for line in (root / f"{name}.said").read_text().split("\n")[:-1]]


def recorded(
    root: Path,
) -> tuple[dict[str, tuple[int, float | None, int]], list[tuple[int, str, float]]]:
    """Draws (arm, chance, seen) by response, and the rewards in their order; the file is whole."""
    database = sqlite3.connect(book_path(Run(root / "search")))
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    drawn = database.execute("SELECT response, arm, chance, seen FROM draws").fetchall()
    rewards = database.execute("SELECT id, response, reward FROM rewards ORDER BY id").fetchall()
    database.close()
    return {response: (arm, chance, seen) for response, arm, chance, seen in drawn}, rewards


def replayed(root: Path) -> dict[str, Any]:
    """The policy's state by a loop of its own, from the search and the file alone."""
    run = Run(root / "search")
    policy = live_policy(run)
    bandit = make_policy(bandit_config(run), policy.personas)
    state = json.loads((run.checkpoints / "checkpoint_1" / "state.json").read_text())
    bandit.load_state_dict(state["policy"])
    draws, rewards = recorded(root)
    for k in range(0, len(rewards) - GROUP + 1, GROUP):
        group = rewards[k : k + GROUP]
        found = [draws[response] for _, response, _ in group]
        bandit.update([f[0] for f in found], [r for _, _, r in group], [f[1] or 0 for f in found])
    return bandit.state_dict()


def six_lives(root: Path) -> list[list[Any]]:
    """Three processes at a time, each killed at a random moment and followed by one; what all said."""
    seed, said = random.Random(0), []
    working = {f"{k}.0": start(root, f"{k}.0") for k in range(3)}
    try:
        for life in range(1, 7):
            (name, process), *_ = working.items()
            while len(told(root, name)) < 6 and process.poll() is None:
                time.sleep(0.01)
            time.sleep(seed.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            _, errors = process.communicate(timeout=60)
            assert process.returncode == -signal.SIGKILL, errors
            said += told(root, name)
            del working[name]
            if life < 4:
                working[f"{name[0]}.{life}"] = start(root, f"{name[0]}.{life}")
    finally:
        for process in working.values():
            process.kill()
    return said


def test_killed_replicas_lose_and_double_nothing(tmp_path: Path) -> None:
    bandit_run(tmp_path, updates=3, arms_per_round=GROUP)
    said = six_lives(tmp_path)
    draws, rewards = recorded(tmp_path)
    kept = {response: reward for _, response, reward in rewards}
    for what, response, arm in said:
        assert draws[response][0] == arm
        assert what == "draw" or kept[response] == unit(response)
    assert len(kept) == len(rewards), "none twice"
    assert [number for number, _, _ in rewards] == list(range(1, len(rewards) + 1))
    acknowledged = {response for what, response, _ in said if what == "reward"}
    assert len(kept.keys() - acknowledged) <= 6, "at most what each life was about to say"
    assert len(acknowledged) > 12
    state = live_policy(Run(tmp_path / "search")).state()
    assert state["policy"] == replayed(tmp_path)
    assert state["seen"] == len(rewards)
    assert len(state["waiting"]) == len(rewards) % GROUP


def test_replicas_that_live_end_alike(tmp_path: Path) -> None:
    """Each draw, too, is what a policy that had seen the same rewards would have drawn."""
    run, _, _ = bandit_run(tmp_path, updates=3, arms_per_round=GROUP)
    processes = [start(tmp_path, f"{k}", 30) for k in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    draws, rewards = recorded(tmp_path)
    assert len(draws) == len(rewards) == 60
    assert live_policy(run).state()["policy"] == replayed(tmp_path)

    again, _, _ = bandit_run(tmp_path / "again", updates=3, arms_per_round=GROUP)
    policy, feedback = live_policy(again), FeedbackBook(tmp_path / "again", ["search"])
    order = [response for _, response, _ in rewards]
    for seen in range(61):
        for response in (one for one, (_, _, saw) in draws.items() if saw == seen):
            draw, _ = policy.draw(response)
            assert (draw.arm, draw.chance, draw.seen) == draws[response]
        if seen < 60:
            feedback.record(order[seen], unit(order[seen]))
    assert policy.state()["policy"] == replayed(tmp_path)


@pytest.mark.parametrize(
    ("statement", "word", "kept"),
    [(2, "BEGIN", 2), (5, "INSERT", 2), (6, "COMMIT", 2), (7, "SELECT", 3)],
)
def test_killed_within_a_commit(tmp_path: Path, statement: int, word: str, kept: int) -> None:
    """The third reward is there after its commit and not before; said again, it counts once."""
    run, _, _ = bandit_run(tmp_path, updates=3, arms_per_round=GROUP)
    process = start(tmp_path, "one", 3, statement)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    assert errors.endswith(word)
    assert len(recorded(tmp_path)[1]) == kept
    assert sum(what == "reward" for what, *_ in told(tmp_path, "one")) == kept
    found = FeedbackBook(tmp_path, ["search"]).record("one 2", unit("one 2"))
    assert found["recorded"] == (kept == 2)
    assert live_policy(run).state()["seen"] == 3
