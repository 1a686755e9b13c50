"""The ledger: at-least-once calls, exactly-once records, one writer, no file harmed."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import DataError, Kind, RunLockedError, StorageError
from rlpersona.judges.ledger import Attempt, Failure, Ledger, Outcome, Totals
from rlpersona.types import ApiCall, ApiReply, Message

CALL = ApiCall(
    "openai", "gpt-4o", (Message("system", "Judge."), Message("user", "Wer? 日本 🙂")), sample=2
)
REPLY = ApiReply("A\0\ud800é", "stop", 12, 3, "gpt-4o-2024-08-06", "req_1")
GOOD = Outcome(
    CALL,
    (
        Attempt(1, 100.0, 0.5, 429, "rate", "slow down"),
        Attempt(2, 101.0, 0.25, 200, None, "", 12, 3, 6e-5),
    ),
    REPLY,
)
OTHER = Outcome(ApiCall("local", "rules", (Message("user", "x"),)), (), ApiReply("B", "stop", 1, 1))


def bad(started: float, kind: Kind = "server", call: ApiCall = CALL) -> Outcome:
    """A dead letter of one attempt."""
    return Outcome(call, (Attempt(1, started, 1.0, 500, kind, f"at {started}"),), None, kind)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "run" / "ledger.sqlite") as ledger:
        yield ledger


def dump(ledger: Ledger) -> tuple[list[object], ...]:
    """Every row of both tables, as another connection sees them."""
    with sqlite3.connect(ledger.path) as database:
        return tuple(
            database.execute(f"SELECT * FROM {name}").fetchall() for name in ("calls", "attempts")
        )


def test_half_a_surrogate_pair_has_a_key_of_its_own() -> None:
    halves = [ApiCall("local", "m", (Message("user", text),)) for text in ("\ud83d", "\ude42", "?")]
    assert len({call.key for call in halves}) == 3
    assert all(len(call.key) == 64 for call in halves)
    whole = ApiCall("local", "m", (Message("user", "🙂"),))
    text = json.dumps(asdict(whole), sort_keys=True, ensure_ascii=False)
    assert whole.key == hashlib.sha256(text.encode("utf-8")).hexdigest()


def test_a_reply_comes_back_as_it_went_in(ledger: Ledger) -> None:
    ledger.record([GOOD, OTHER])
    assert ledger.known([CALL.key, OTHER.call.key, "no such key"]) == {
        CALL.key: REPLY,
        OTHER.call.key: OTHER.reply,
    }
    assert ledger.failed([CALL.key]) == {}
    assert ledger.totals() == Totals(2, 0, 2, 12, 3, 6e-5, 0)
    assert ledger.cost() == GOOD.cost == 6e-5


WILD = st.text(st.characters(exclude_categories=()), max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(max_size=40),
    answer=WILD,
    message=WILD,
    finish=st.sampled_from(["stop", "length", "filter"]),
    tokens=st.integers(0, 2**40),
    cost=st.none() | st.floats(0, 1e6),
)
def test_wild_text_survives(
    text: str, answer: str, message: str, finish: str, tokens: int, cost: float | None
) -> None:
    call = ApiCall("anthropic", "m", (Message("user", text),))
    reply = ApiReply(answer, finish, tokens, tokens)  # type: ignore[arg-type]
    attempt = Attempt(1, 1.0, 1.0, 200, "unparsed", message, tokens, tokens, cost)
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger.open(Path(folder) / "ledger.sqlite") as ledger,
    ):
        ledger.record([Outcome(call, (attempt,), reply, "unparsed")])
        (failure,) = ledger.failed([call.key]).values()
        assert failure.reply == reply
        assert failure.message == message.encode("utf-8", "backslashreplace").decode()
        assert ledger.totals().unpriced == (cost is None)
        (row,) = ledger.rows()
        assert row["messages"][0]["content"] == text


def test_the_same_outcome_twice_changes_nothing(ledger: Ledger) -> None:
    group = [GOOD, bad(5.0, call=OTHER.call)]
    ledger.record(group)
    before = dump(ledger)
    ledger.record(group)
    ledger.record(group[::-1] + group)
    assert dump(ledger) == before


def test_a_success_replaces_a_dead_letter_and_keeps_what_it_cost(ledger: Ledger) -> None:
    ledger.record([bad(50.0, "timeout")])
    assert ledger.known([CALL.key]) == {}
    assert ledger.failed([CALL.key]) == {CALL.key: Failure("timeout", "at 50.0")}
    ledger.record([GOOD])
    assert ledger.known([CALL.key]) == {CALL.key: REPLY}
    assert ledger.failed([CALL.key]) == {}
    assert ledger.totals().attempts == 3


def test_a_success_wins_even_over_a_dead_letter_that_ended_later(ledger: Ledger) -> None:
    ledger.record([bad(500.0), GOOD])
    assert ledger.known([CALL.key]) == {CALL.key: REPLY}


def test_a_success_is_never_replaced(ledger: Ledger) -> None:
    ledger.record([GOOD])
    second = Outcome(
        CALL, (Attempt(1, 900.0, 1.0, 200, None, "", 12, 9, 1e-4),), ApiReply("B", "stop", 12, 9)
    )
    ledger.record([second, bad(950.0)])
    assert ledger.known([CALL.key]) == {CALL.key: REPLY}
    assert ledger.totals() == Totals(1, 0, 4, 24, 12, 6e-5 + 1e-4, 0), "but it was paid for"


def test_of_two_dead_letters_the_later_stays_in_any_order(ledger: Ledger) -> None:
    ledger.record([bad(20.0, "filter"), bad(10.0, "server"), bad(20.0, "filter")])
    assert ledger.failed([CALL.key])[CALL.key].kind == "filter"
    ledger.record([bad(30.0, "cutoff"), bad(20.0, "filter")])
    assert ledger.failed([CALL.key])[CALL.key].kind == "cutoff"
    assert ledger.totals().attempts == 3


def test_an_outcome_is_something() -> None:
    with pytest.raises(ValueError, match="a reply or a failure"):
        Outcome(CALL, (), None)


def test_a_group_is_all_or_nothing(ledger: Ledger) -> None:
    ledger.record([OTHER])
    before = dump(ledger)
    broken = Outcome(CALL, (Attempt(1, float("nan"), 1.0),), REPLY)
    with pytest.raises(sqlite3.IntegrityError):
        ledger.record([bad(1.0), broken])
    assert dump(ledger) == before
    ledger.record([GOOD])
    assert len(ledger.known([CALL.key])) == 1, "and the ledger goes on"


def test_thousands_of_keys_in_one_question(ledger: Ledger) -> None:
    calls = [ApiCall("local", "rules", (Message("user", str(n)),)) for n in range(40_000)]
    ledger.record([Outcome(call, (), ApiReply("A", "stop", 1, 1)) for call in calls[::4]])
    assert set(ledger.known(call.key for call in calls)) == {call.key for call in calls[::4]}


def test_it_is_kept_over_reopening_and_synced_on_every_commit(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.record([GOOD])
        pragmas = [
            ledger._database.execute(f"PRAGMA {p}").fetchone()[0]
            for p in ("journal_mode", "synchronous")
        ]
        assert pragmas == ["wal", 2]
    with Ledger.open(path) as ledger:
        assert ledger.known([CALL.key]) == {CALL.key: REPLY}
        ledger.close()
        ledger.close()


def test_one_writer_many_readers(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as writer:
        with pytest.raises(RunLockedError, match="Another process writes"):
            Ledger.open(path)
        with Ledger.open(path, read_only=True) as reader, Ledger.open(path, read_only=True) as second:
            writer.record([GOOD])
            assert reader.known([CALL.key]) == second.known([CALL.key]) == {CALL.key: REPLY}
            with pytest.raises(StorageError, match="readonly"):
                reader.record([OTHER])
    with Ledger.open(path) as writer:
        assert writer.totals().calls == 1


def test_threads_take_turns(ledger: Ledger) -> None:
    def work(first: int) -> None:
        for n in range(first, first + 40):
            call = ApiCall("local", "rules", (Message("user", str(n)),))
            ledger.record([Outcome(call, (Attempt(1, n, 1.0),), ApiReply("A", "stop", 1, 1))])
            assert call.key in ledger.known([call.key])

    threads = [threading.Thread(target=work, args=(40 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.totals().calls == ledger.totals().attempts == 160


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE calls (precious TEXT)")


def future_ledger(path: Path) -> None:
    Ledger.open(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 2")


def torn_ledger(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.record(
            [bad(n, call=ApiCall("local", "r", (Message("user", str(n)),))) for n in range(500)]
        )
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: path.write_text("id,text\n1,mine\n" * 99), "torn or no ledger"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 400), "torn or no ledger"),
        (foreign_database, "not a ledger"),
        (future_ledger, "format 2; this version of rlpersona reads format 1"),
        (torn_ledger, "torn or no ledger"),
    ],
)
def test_another_file_is_refused_and_left_as_it_is(
    tmp_path: Path, make: object, complaint: str, read_only: bool
) -> None:
    path = tmp_path / "ledger.sqlite"
    make(path)  # type: ignore[operator]
    before = path.read_bytes()
    with pytest.raises(DataError, match=complaint) as caught:
        Ledger.open(path, read_only=read_only)
    assert str(path) in caught.value.message
    assert path.read_bytes() == before
    with pytest.raises(DataError):
        Ledger.open(path, read_only=read_only)  # and the lock was let go


def test_damage_that_shows_later_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    torn_ledger(path)
    path.unlink()
    with Ledger.open(path) as ledger:
        ledger.record(
            [bad(n, call=ApiCall("local", "r", (Message("user", str(n)),))) for n in range(500)]
        )
    with Ledger.open(path, read_only=True) as reader:
        os.truncate(path, 8192)
        with pytest.raises(DataError, match="torn"):
            list(reader.rows())


def test_a_reader_makes_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no ledger"):
        Ledger.open(tmp_path / "ledger.sqlite", read_only=True)
    assert not list(tmp_path.iterdir())


def test_an_empty_file_is_an_empty_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").touch()
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.totals() == Totals(0, 0, 0, 0, 0, 0.0, 0)


def test_a_full_disk_stops_and_harms_nothing(ledger: Ledger) -> None:
    """SQLite's own SQLITE_FULL, by a cap on the file's pages."""
    ledger.record([GOOD])
    before = dump(ledger)
    (pages,) = ledger._database.execute("PRAGMA page_count").fetchone()
    ledger._database.execute(f"PRAGMA max_page_count = {pages}")
    big = [bad(n, call=ApiCall("local", "r", (Message("user", f"{n}" * 9000),))) for n in range(20)]
    with pytest.raises(StorageError, match="No space left") as caught:
        ledger.record(big)
    assert "--resume" in caught.value.hint
    assert dump(ledger) == before
    ledger._database.execute(f"PRAGMA max_page_count = {pages + 1000}")
    ledger.record(big)
    assert ledger.totals().calls == 21


# The user nobody stands in for a person without rights where the tests run as root.
SEALED = """
import os, sys
from pathlib import Path
from rlpersona.errors import StorageError
from rlpersona.judges.ledger import Ledger
if os.geteuid() == 0:
    os.seteuid(65534)
folder = Path(sys.argv[1])
for name in ("ledger.sqlite", "other.sqlite"):
    try:
        Ledger.open(folder / name)
        print("opened")
    except StorageError as error:
        print(error.message)
with Ledger.open(folder / "ledger.sqlite", read_only=True) as reader:
    print(reader.totals().calls)
"""


def test_a_folder_without_rights_is_read_and_not_written() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        with Ledger.open(folder / "ledger.sqlite") as ledger:
            ledger.record([GOOD])
        before = (folder / "ledger.sqlite").read_bytes()
        (folder / "ledger.sqlite.lock").chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", SEALED, str(folder)], capture_output=True, text=True, check=False
        )
        lines = done.stdout.splitlines()
        assert len(lines) == 3, done.stderr
        assert all(line.startswith("Cannot write") for line in lines[:2])
        assert lines[2] == "1"
        assert (folder / "ledger.sqlite").read_bytes() == before
    finally:
        folder.chmod(0o755)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def test_exports_hold_every_call_and_attempt(ledger: Ledger, tmp_path: Path) -> None:
    dead = ApiCall("anthropic", "claude-opus-4-5", (Message("user", "line\u2028two\n"),), order="BA")
    ledger.record([GOOD, bad(7.0, "filter", dead), OTHER])
    for path in ledger.export(tmp_path / "out"):
        assert path.exists()
    calls = pd.read_parquet(tmp_path / "out" / "calls.parquet")
    assert list(calls["key"]) == [CALL.key, dead.key, OTHER.call.key], "in the order of the records"
    assert list(calls["model"]) == ["gpt-4o", "claude-opus-4-5", "rules"]
    assert list(calls["text"]) == ["A\0\\ud800é", "", "B"]
    assert list(calls["reply_model"]) == ["gpt-4o-2024-08-06", "", ""]
    assert list(calls["failure"].fillna("-")) == ["-", "filter", "-"]
    assert list(calls["finish"].fillna("-")) == ["stop", "-", "stop"]
    assert list(calls["attempts"]) == [2, 1, 0]
    assert list(calls["cost"]) == [6e-5, 0.0, 0.0]
    assert json.loads(calls["messages"][0]) == [asdict(message) for message in CALL.messages]
    attempts = pd.read_parquet(tmp_path / "out" / "attempts.parquet")
    assert list(attempts["started"]) == [7.0, 100.0, 101.0]
    assert list(attempts["status"]) == [500, 429, 200]
    rows = [
        json.loads(line) for line in (tmp_path / "out" / "calls.jsonl").read_bytes().split(b"\n")[:-1]
    ]
    assert [row["key"] for row in rows] == list(calls["key"])
    assert rows[0]["reply"]["request_id"] == "req_1"
    assert rows[1]["reply"] is None


def test_an_empty_ledger_exports_the_same_columns(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.sqlite") as empty, Ledger.open(tmp_path / "b.sqlite") as full:
        full.record([GOOD, bad(7.0)])
        for none, some in zip(empty.tables(), full.tables(), strict=True):
            assert len(none) == 0
            assert list(none.dtypes) == list(some.dtypes)
            assert list(none.columns) == list(some.columns)
