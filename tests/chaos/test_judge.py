"""SIGKILL on drivers and on the actor that asks, at every step of a commit; disks that take no more.

The drivers are real processes that join one Ray; the judge is a real server that counts what it bills.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rlpersona.errors import JudgeError, StorageError
from rlpersona.judges.ledger import Ledger
from rlpersona.runtime.session import ray_session
from tests.judge_server import Server, judge_server

CALLS, WINDOW = 120, 12
CANARY = "sk-canary-5f1d0c9e7b3a"

# A driver that asks CALLS questions. At a moment (the n-th time that SQLite is given a BEGIN, an INSERT
# or a COMMIT, or that a commit is done) it kills a victim with SIGKILL (itself or the actor), or the
# ledger's file takes no more from then on: no space, or no permission.
DRIVER = f"""
import os, signal, sys, threading
from pathlib import Path
from rlpersona.errors import PersonaError
from rlpersona.judges.client import Endpoint
from rlpersona.judges.ledger import Ledger
from rlpersona.runtime.judging import judge_client
from rlpersona.runtime.session import ray_session
from rlpersona.types import ApiCall, Message, Sampling

path, base_url, event, number = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
sampling = Sampling(max_tokens=50)
calls = [
    ApiCall("openai", "gpt-4o", (Message("user", f"pair {{n}}"),), sampling, base_url)
    for n in range({CALLS})
]
seen = 0

def happened(word, *_):
    global seen
    if str(word).split()[0] != event:
        return
    seen += 1
    if seen != number:
        return
    match sys.argv[5]:
        case "driver":
            os.kill(os.getpid(), signal.SIGKILL)
        case "actor":
            os.kill(client.workers.pid, signal.SIGKILL)
        case "interrupt":
            threading.Timer(0.07, os.kill, (os.getpid(), signal.SIGINT)).start()
        case "space":
            (pages,) = ledger._database.execute("PRAGMA page_count").fetchone()
            ledger._database.execute(f"PRAGMA max_page_count = {{pages}}")
        case "permission":
            ledger._database.execute("PRAGMA query_only = ON")

endpoint = Endpoint("openai", base_url, in_flight=8, ahead={WINDOW} - 8)
with ray_session(), Ledger.open(path) as ledger, judge_client(endpoint, ledger) as client:
    ledger._database.set_trace_callback(happened)
    try:
        outcomes = client.ask(calls, lambda n: happened("done"))
    except PersonaError as error:
        print(f"{{type(error).__name__}}: {{error}} {{error.hint}}")
        if sys.argv[5] == "traceback":
            raise
        sys.exit(error.exit_code)
    assert [outcome.call for outcome in outcomes] == calls
    print("all done")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a Ray whose processes have the key in their environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", CANARY)
        with ray_session(cpus=2):
            import ray

            patch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
            yield Path(ray._private.worker._global_node.get_session_dir_path())


@pytest.fixture(scope="module")
def the_server() -> Iterator[Server]:
    with judge_server(latency=0.1, key=CANARY) as server:
        yield server


@pytest.fixture
def server(the_server: Server, cluster: Path) -> Server:
    the_server.reset()
    return the_server


def drive(server: Server, ledger: Path, *what: str) -> subprocess.CompletedProcess[str]:
    """Run a driver; everything that it prints is kept beside the ledger."""
    command = [sys.executable, "-c", DRIVER, str(ledger), server.base_url, *(what or ("never", "0", ""))]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    with (ledger.parent / "printed.log").open("a") as log:
        log.write(done.stdout + done.stderr)
    return done


def rows(ledger: Path) -> list[Any]:
    """What a ledger holds, without what differs between runs: order, times, request numbers."""
    with Ledger.open(ledger, read_only=True) as reader:
        told = []
        for row in reader.rows():
            reply = row["reply"] and {k: v for k, v in row["reply"].items() if k != "request_id"}
            told.append({**row, "reply": reply})
    return sorted(told, key=lambda row: str(row["key"]))


@pytest.fixture(scope="module")
def undisturbed(
    the_server: Server, cluster: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Any]:
    the_server.reset()
    ledger = tmp_path_factory.mktemp("undisturbed") / "ledger.db"
    done = drive(the_server, ledger)
    assert (done.returncode, done.stdout) == (0, "all done\n"), done.stderr
    assert the_server.stats().requests == CALLS
    told = rows(ledger)
    assert len(told) == CALLS
    return told


MOMENTS = [("BEGIN", 4), ("INSERT", 60), ("COMMIT", 4), ("done", 4)]


@pytest.mark.parametrize(("event", "number"), MOMENTS)
def test_a_killed_driver_resumes_to_the_same_rows(
    undisturbed: list[Any], server: Server, tmp_path: Path, event: str, number: int
) -> None:
    ledger = tmp_path / "ledger.db"
    done = drive(server, ledger, event, str(number), "driver")
    assert done.returncode == -signal.SIGKILL
    assert "all done" not in done.stdout
    assert 0 < len(rows(ledger)) < CALLS
    again = drive(server, ledger)
    assert (again.returncode, again.stdout) == (0, "all done\n"), again.stderr
    assert rows(ledger) == undisturbed
    billed = server.stats().billed
    assert len(billed) == CALLS
    assert sum(billed.values()) - CALLS <= WINDOW


@pytest.mark.parametrize(("event", "number"), MOMENTS)
def test_a_killed_actor_is_replaced_within_the_run(
    undisturbed: list[Any], server: Server, tmp_path: Path, event: str, number: int
) -> None:
    ledger = tmp_path / "ledger.db"
    done = drive(server, ledger, event, str(number), "actor")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all done\n"), "after what Ray says of the death"
    assert rows(ledger) == undisturbed
    billed = server.stats().billed
    assert len(billed) == CALLS
    assert sum(billed.values()) - CALLS <= WINDOW


def test_an_interrupted_driver_records_what_is_under_way(
    undisturbed: list[Any], server: Server, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.db"
    done = drive(server, ledger, "done", "3", "interrupt")
    assert done.returncode not in (0, -signal.SIGKILL)
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert len(rows(ledger)) == len(server.stats().billed) < CALLS
    assert drive(server, ledger).stdout == "all done\n"
    assert rows(ledger) == undisturbed
    assert server.stats().billed_twice == 0


@pytest.mark.parametrize("trouble", ["space", "permission"])
def test_a_ledger_that_takes_no_more_stops_the_run(
    undisturbed: list[Any], server: Server, tmp_path: Path, trouble: str
) -> None:
    ledger = tmp_path / "ledger.db"
    done = drive(server, ledger, "done", "3", trouble)
    assert done.returncode == StorageError.exit_code, done.stderr
    assert done.stdout.startswith("StorageError")
    kept = rows(ledger)
    assert 0 < len(kept) < CALLS
    assert [row for row in undisturbed if row in kept] == kept, "what is there is whole"
    assert drive(server, ledger).stdout == "all done\n"
    assert rows(ledger) == undisturbed


def test_the_key_is_found_nowhere(server: Server, cluster: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    assert drive(server, ledger, "BEGIN", "3", "actor").returncode == 0
    server.faults(key="another")
    try:
        done = drive(server, tmp_path / "refused.db", "never", "0", "traceback")
    finally:
        server.faults(key=CANARY)
    assert "Traceback" in done.stderr
    assert JudgeError.__name__ in done.stderr
    with Ledger.open(ledger) as whole:
        whole.export(tmp_path)
    searched = 0
    places = [place for folder in (tmp_path, cluster) for place in os.walk(folder)]
    for file in (Path(folder, name) for folder, _, names in places for name in names):
        with suppress(FileNotFoundError):  # of Ray's, some go meanwhile
            if file.is_file():
                content = file.read_bytes()
                searched += 1
                assert CANARY.encode() not in content, file
    assert searched > 20, "Ray's logs and the run's files"
