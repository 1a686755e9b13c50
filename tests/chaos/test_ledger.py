"""SIGKILL on a process that records: what it was told is on the disk, and nothing is doubled or torn."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlpersona.errors import DataError, StorageError
from rlpersona.judges.ledger import Attempt, Ledger, Outcome
from rlpersona.types import ApiCall, ApiReply, Message

GROUP = 4

# Records groups of outcomes for ever and prints the number of each item as it is acknowledged. It goes
# on where the ledger ends, as a resumed run does. With a second argument n it kills itself just before
# SQLite carries out the n-th statement that it is given after opening (sqlite3's trace callback): a
# moment that a signal from outside would hardly hit.
CHILD = """
import os, signal, sys
from pathlib import Path
from rlpersona.judges.ledger import Ledger
from tests.chaos.test_ledger import GROUP, item

ledger = Ledger.open(Path(sys.argv[1]))
statements = 0

def traced(statement):
    global statements
    statements += 1
    if statements == int(sys.argv[2]):
        sys.stderr.write(statement.split()[0])
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)

first = 0
while ledger.known([item(first).call.key]):
    first += 1
if len(sys.argv) > 2:
    ledger._database.set_trace_callback(traced)
while True:
    group = range(first, first + GROUP)
    ledger.record([item(n) for n in group])
    os.write(1, "".join(f"{n}\\n" for n in group).encode())
    first += GROUP
"""


def item(n: int) -> Outcome:
    """The outcome of the n-th call: two attempts and a reply."""
    call = ApiCall("openai", "gpt-4o", (Message("user", f"question {n} " * 40),))
    tries = (Attempt(1, n, 0.1, 500, "server"), Attempt(2, n + 0.5, 0.1, 200, None, "", 100, n, 1e-3))
    return Outcome(call, tries, ApiReply(f"answer {n}", "stop", 100, n))


def start(path: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(path), *words]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def acknowledged(printed: str) -> int:
    """One past the last item whose whole group was acknowledged."""
    lines = printed.split("\n")[:-1]
    return int(lines[-1]) + 1 if lines else 0


def recorded(path: Path) -> int:
    """Items on the disk, after checks that they are the first ones, whole, and each there once."""
    database = sqlite3.connect(path)
    with contextlib.closing(database):
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        keys = [key for (key,) in database.execute("SELECT key FROM calls ORDER BY rowid")]
        tries = database.execute("SELECT count(*), total(cost) FROM attempts").fetchone()
    count = len(keys)
    assert keys == [item(n).call.key for n in range(count)]
    assert tries == (2 * count, pytest.approx(1e-3 * count))
    with Ledger.open(path, read_only=True) as reader:
        assert reader.known(keys) == {item(n).call.key: item(n).reply for n in range(count)}
    return count


def test_killed_at_any_moment_it_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    path, seed = tmp_path / "ledger.sqlite", random.Random(0)
    before = 0
    for _ in range(24):
        process = start(path)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seed.uniform(0, 0.04))
        process.send_signal(signal.SIGKILL)
        rest, errors = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, errors
        told, kept = acknowledged(first + rest), recorded(path)
        assert told in {kept, kept - GROUP}, "at most the group in flight is more than was told"
        assert kept > before, "each life goes on where the last one ended"
        before = kept


BEGIN, COMMIT = 1, 2 + 3 * GROUP  # BEGIN, the calls, two attempts each, COMMIT: numbers of statements


@pytest.mark.parametrize(
    ("statement", "word", "groups"),
    [
        (BEGIN, "BEGIN", 0),
        (BEGIN + 1, "INSERT", 0),
        (BEGIN + GROUP, "INSERT", 0),
        (COMMIT - 1, "INSERT", 0),
        (COMMIT, "COMMIT", 0),
        (COMMIT + 1, "BEGIN", 1),
        (2 * COMMIT, "COMMIT", 1),
        (2 * COMMIT + 1, "BEGIN", 2),
    ],
)
def test_killed_at_each_commit_boundary(tmp_path: Path, statement: int, word: str, groups: int) -> None:
    path = tmp_path / "ledger.sqlite"
    process = start(path, str(statement))
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert errors == word, "killed where it was meant to be"
    assert recorded(path) == acknowledged(printed) == GROUP * groups
    with Ledger.open(path) as again:
        again.record([item(n) for n in range(GROUP * groups + GROUP)])
    assert recorded(path) == GROUP * groups + GROUP, "asked again, recorded once"


def test_killed_while_it_is_made(tmp_path: Path) -> None:
    """A file that died before its tables were there is begun anew; after that it is a ledger."""
    script = """
import os, signal, sqlite3, sys
from pathlib import Path
connect, seen = sqlite3.connect, 0
def traced(statement):
    global seen
    seen += 1
    if seen == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
def connected(*words, **named):
    database = connect(*words, **named)
    database.set_trace_callback(traced)
    return database
sqlite3.connect = connected
from rlpersona.judges.ledger import Ledger
Ledger.open(Path(sys.argv[1])).close()
"""
    lives = 0
    for statement in range(1, 40):
        path = tmp_path / f"{statement}.sqlite"
        done = subprocess.run([sys.executable, "-c", script, str(path), str(statement)], check=False)
        with Ledger.open(path) as ledger:
            ledger.record([item(0)])
        assert recorded(path) == 1
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        lives += 1
    assert lives >= 8, "BEGIN, two tables, two marks, COMMIT, WAL and more"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB of its own, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path, first: int) -> int:
    """Record groups until the disk is full; items that were acknowledged."""
    with Ledger.open(path) as ledger:
        while True:
            try:
                ledger.record([item(n) for n in range(first, first + GROUP)])
            except StorageError as error:
                assert "No space left" in error.message  # noqa: PT017
                return first
            first += GROUP


def test_a_disk_that_fills_up_keeps_what_was_acknowledged(small_disk: Path) -> None:
    path, ballast = small_disk / "ledger.sqlite", small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    kept = fill(path, 0)
    assert kept >= GROUP
    with Ledger.open(path, read_only=True) as reader:
        assert reader.totals().calls == kept
        with pytest.raises(StorageError):
            reader.export(small_disk / "out")
        assert not list((small_disk / "out").glob("*.jsonl"))
    ballast.unlink()
    more = fill(path, kept)
    assert more > kept, "with room again it goes on"
    copy = small_disk.parent / "copy.sqlite"
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            copy.with_name(copy.name + suffix).write_bytes(source.read_bytes())
    assert recorded(copy) == more


def test_a_limit_on_the_size_of_files_is_no_success(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: the system refuses a write in mid-file (EFBIG)."""
    script = """
import resource, sys
from pathlib import Path
from rlpersona.errors import StorageError
from rlpersona.judges.ledger import Ledger
from tests.chaos.test_ledger import GROUP, item
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
with Ledger.open(Path(sys.argv[1])) as ledger:
    first = 0
    try:
        while first < 10_000:
            ledger.record([item(n) for n in range(first, first + GROUP)])
            first += GROUP
    except StorageError as error:
        print(first)
"""
    root = Path(__file__).resolve().parents[2]
    path = tmp_path / "ledger.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == recorded(path) > 0


def test_a_ledger_cut_short_is_refused_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.record([item(n) for n in range(200)])
    whole = path.read_bytes()
    for size in (1, 50, 100, 4096, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError):
            Ledger.open(path)
        assert path.read_bytes() == whole[:size]
