"""SIGKILL on a process that judges in batches: the same rows afterwards, and no batch paid for twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rlpersona.judges.ledger import Ledger
from rlpersona.types import ApiCall, Message
from tests.judge_server import judge_server

ROOT = Path(__file__).resolve().parents[2]
CALLS, ROWS = 5, 3  # two batches

# Forks a child for each life (the SDKs are imported once), which asks in batches and kills itself just
# before SQLite carries out the n-th statement that it is given (of several like ones on end, only the
# first counts): before, in and after the plan of a batch, between the request that makes a batch and the
# record of its id, in mid-download, after the records. A ledger has two lives, the second of which lives
# on. Prints the statement at which each first life ended.
LIVES = """
import os, signal, sqlite3, sys
from pathlib import Path
from rlpersona.judges import batch_transfer
from rlpersona.judges.batch import BatchClient
from rlpersona.judges.batch_transfer import Pace
from rlpersona.judges.client import Endpoint
from rlpersona.judges.ledger import Ledger
from rlpersona.judges.retry import RetryPolicy
from tests.chaos.test_batch import ROWS, calls_to
import openai, anthropic

folder, provider, address = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
batch_transfer.GROUP = 2

def life(path, last):
    connect, seen, before = sqlite3.connect, 0, ""

    def traced(statement):
        nonlocal seen, before
        words = " ".join(statement.split()[:4])
        if words.startswith(("PRAGMA", "SELECT")) or words == before:
            return
        seen, before = seen + 1, words
        if seen == last:
            os.write(1, words.encode() + b"\\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def connected(*words, **named):
        database = connect(*words, **named)
        database.set_trace_callback(traced)
        return database

    sqlite3.connect = connected
    with Ledger.open(path) as ledger:
        endpoint = Endpoint(provider, address, policy=RetryPolicy(base_s=0.01, cap_s=0.02))
        pace = Pace(first_s=0.02, most_s=0.02, appears_s=0.1)
        calls = calls_to(provider, address, path.stem)
        found = BatchClient(endpoint, ledger, pace=pace, max_rows=ROWS).ask(calls)
        kept = ledger.known([call.key for call in calls])
        assert [outcome.reply for outcome in found] == [kept[call.key] for call in calls]

def child(path, last):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            life(path, last)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

for last in range(1, 1000):
    path = folder / f"{last}.sqlite"
    first = child(path, last)
    assert first in (0, -signal.SIGKILL), first
    if first == 0:
        break
    assert child(path, 0) == 0
"""


def calls_to(provider: str, address: str, text: str) -> list[ApiCall]:
    return [
        ApiCall(provider, "gpt-4o", (Message("user", f"{text}, question {n}"),), base_url=address)  # type: ignore[arg-type]
        for n in range(CALLS)
    ]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_killed_at_each_statement_no_batch_is_paid_for_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")
    with judge_server(batch_seconds=0.05) as server:
        done = subprocess.run(
            [sys.executable, "-c", LIVES, str(tmp_path), provider, server.base_url],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        stats = server.stats()
    assert done.returncode == 0, done.stderr
    ends = done.stdout.splitlines()
    assert [ends.count(f"UPDATE batches SET {what}") for what in ("begun", "remote", "state")] == [2] * 3
    assert ends.count("INSERT INTO calls VALUES") >= 3, "in mid-download"
    assert ends.count("COMMIT") == 1 + 2 * 4 + 3, "the ledger's tables, two batches, three groups"
    assert stats.billed_twice == 0, "no row was paid for twice"
    paths = sorted(tmp_path.glob("*.sqlite"), key=lambda path: int(path.stem))
    assert len(paths) == len(ends) + 1
    assert stats.batches == 2 * len(paths), "and no batch was made twice"
    assert len(stats.billed) == CALLS * len(paths)
    for path in paths:
        calls = calls_to(provider, server.base_url, path.stem)
        with Ledger.open(path, read_only=True) as ledger:
            assert len(ledger.known([call.key for call in calls])) == CALLS
            totals = ledger.totals()
            assert (totals.calls, totals.failures, totals.attempts) == (CALLS, 0, CALLS)
