"""SIGKILL of a replica: the service goes on, and no feedback is lost. Of the service: nothing stays."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from rlpersona.runtime.ingress import find_haproxy
from tests.processes import title_of, tree
from tests.services import Service, service
from tests.support import wait_until
from tests.unit.serving.served_runs import bandit_run


def test_a_killed_replica_is_replaced_and_feedback_stays(tmp_path: Path) -> None:
    bandit_run(tmp_path / "runs", "search", updates=3)
    with service(tmp_path, "search", "model.engine=hf", "model.device=cpu") as running:
        before = running.chat("base")["choices"]
        drawn = [running.chat("bandit:search") for _ in range(6)]
        kept = [reward(running, one, at / 5) for at, one in enumerate(drawn[:5])]
        assert [status for status, _ in kept] == [200] * 5
        (replica,) = running.replicas()
        children = replica.children(recursive=True)
        replica.send_signal(signal.SIGKILL)
        wait_until(lambda: answers(running), 300)
        assert running.replicas()[0].pid != replica.pid
        assert not [child for child in children if child.is_running()]
        assert running.chat("base")["choices"] == before
        # What was said is there, what was drawn can still be rewarded, and nothing else was believed.
        for at, one in enumerate(drawn[:5]):
            assert reward(running, one, at / 5) == (200, {**kept[at][1], "recorded": False})
        assert reward(running, drawn[0], 0.9)[0] == 409
        status, late = reward(running, drawn[5], 1.0)
        assert (status, late["recorded"]) == (200, True)
        assert running.chat("bandit:search")["rlpersona"]["rewards"] == 6
        family = {one: title_of(one) for one in tree(running.process)[1:]}
        # Ray's two agents of a node wait a minute for its head.
        ours = [one for one, title in family.items() if "Agent" not in title]
        assert any("haproxy" in title for title in family.values()) or find_haproxy() is None
        running.process.kill()
        wait_until(lambda: not listens(running.port), 120)
        wait_until(lambda: not [one for one in ours if alive(one)], 120)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def reward(running: Service, answer: dict[str, Any], value: float) -> tuple[int, dict[str, Any]]:
    return running.post("/v1/feedback", {"response_id": answer["id"], "reward": value})


def answers(running: Service) -> bool:
    with suppress(OSError, AssertionError):
        return bool(running.chat("base"))
    return False
