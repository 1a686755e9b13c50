"""Rewards: kept once, kept for good, and what is no reward is refused."""

from __future__ import annotations

import math
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.errors import (
    ConfigError,
    ConflictError,
    DataError,
    RunError,
    StorageError,
    UnknownResponseError,
)
from rlpersona.serving.book import Book, Draw, book_path
from rlpersona.serving.feedback import FeedbackBook, checked
from rlpersona.serving.policy import LivePolicy, live_policy
from rlpersona.store import Run
from tests.unit.serving.served_runs import bandit_run


@pytest.fixture
def policy(tmp_path: Path) -> LivePolicy:
    return live_policy(bandit_run(tmp_path, arms_per_round=4)[0])


def test_a_reward_is_kept_once(tmp_path: Path, policy: LivePolicy) -> None:
    feedback = FeedbackBook(tmp_path, ["search"])
    draw, persona = policy.draw("r1")
    first = feedback.record("r1", 1)
    expected = {"response_id": "r1", "run": "search", "persona": persona.name, "reward": 1.0}
    assert first == {**expected, "recorded": True}
    for book in (feedback, FeedbackBook(tmp_path, ["search"])):
        assert book.record("r1", 1.0) == {**expected, "recorded": False}
        with pytest.raises(ConflictError, match="has the reward 1 already, not") as caught:
            book.record("r1", 0.5)
        assert caught.value.hint
    (kept,) = policy.book.rewards_after(0)
    assert (kept.number, kept.arm, kept.reward) == (1, draw.arm, 1.0)


def test_each_reward_finds_its_policy(tmp_path: Path) -> None:
    policies = [live_policy(bandit_run(tmp_path, name)[0]) for name in ("a", "b")]
    feedback = FeedbackBook(tmp_path, ["a", "b"])
    for policy, run in zip(policies, ("a", "b"), strict=True):
        policy.draw(f"of {run}")
        assert feedback.record(f"of {run}", 0)["run"] == run
        assert policy.state()["seen"] == 1


def test_before_the_first_draw_nothing_is_known_and_nothing_is_made(tmp_path: Path) -> None:
    run, _, _ = bandit_run(tmp_path)
    feedback = FeedbackBook(tmp_path, ["search"])
    with pytest.raises(UnknownResponseError):
        feedback.record("r1", 1)
    assert not book_path(run).exists()
    live_policy(run).draw("r1")
    assert feedback.record("r1", 1)["recorded"], "a file that came later is opened"
    with pytest.raises(RunError, match="no run 'serach'"):
        FeedbackBook(tmp_path, ["serach"])


@pytest.mark.parametrize("reward", [-0.1, 1.01, math.nan, math.inf, True, None, "1", [1], 10**400])
def test_what_is_no_reward_is_refused(tmp_path: Path, policy: LivePolicy, reward: Any) -> None:
    policy.draw("r1")
    with pytest.raises(ConfigError, match="no number from 0 to 1"):
        FeedbackBook(tmp_path, ["search"]).record("r1", reward)
    assert policy.book.rewards_after(0) == []


@pytest.mark.parametrize(
    "response", ["", "x" * 201, None, 7, "nobody's", "r1\x00", "r1' OR 1=1 --", "\ud800"]
)
def test_what_is_no_response_is_refused(tmp_path: Path, policy: LivePolicy, response: Any) -> None:
    policy.draw("r1")
    with pytest.raises((ConfigError, UnknownResponseError)) as caught:
        FeedbackBook(tmp_path, ["search"]).record(response, 1)
    assert len(caught.value.message) < 200
    assert caught.value.message.isascii()
    assert policy.book.rewards_after(0) == []


@given(st.floats(0, 1) | st.integers(0, 1))
def test_every_number_from_0_to_1_is_a_reward(value: float) -> None:
    assert checked(value) == value


def test_threads_and_connections_write_side_by_side(tmp_path: Path, policy: LivePolicy) -> None:
    """Numbers are the order of the commits, without gaps, whoever wrote."""
    books = [FeedbackBook(tmp_path, ["search"]) for _ in range(2)]
    for n in range(40):
        policy.draw(f"r{n}")
    told: list[bool] = []

    def work(start: int) -> None:
        for n in range(start, start + 20):
            told.append(books[start % 2].record(f"r{n % 40}", n % 2)["recorded"])

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 11, 20, 31)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rewards = policy.book.rewards_after(0)
    assert [one.number for one in rewards] == list(range(1, 41))
    assert told.count(True) == 40
    assert len(told) == 80


def test_one_response_has_one_draw_whoever_makes_it(tmp_path: Path, policy: LivePolicy) -> None:
    first, _ = policy.draw("r")
    other = Draw("r", (first.arm + 1) % 42, "someone else", 0.5, 0)
    assert policy.book.keep_draw(other) == first
    assert live_policy(Run(tmp_path / "search")).draw("r")[0] == first


def test_commits_are_synced(policy: LivePolicy) -> None:
    """WAL and FULL: SQLite syncs the log before a commit returns."""
    database = policy.book._database
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_full_disk_is_said_and_what_was_recorded_stays(tmp_path: Path, policy: LivePolicy) -> None:
    policy.draw("r1")
    database = policy.book._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    kept = ["r1"]
    with pytest.raises(StorageError, match="No space left") as caught:
        for n in range(2, 2000):
            policy.draw(f"r{n}")
            kept.append(f"r{n}")
    assert caught.value.hint.endswith("ask again.")
    database.execute("PRAGMA max_page_count = 100000")
    feedback = FeedbackBook(tmp_path, ["search"])
    assert all(feedback.record(response, 1)["recorded"] for response in kept)
    policy.draw(f"r{len(kept) + 1}")


def test_a_file_of_another_version_is_left_alone(policy: LivePolicy) -> None:
    path = policy.book.path
    policy.book.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(DataError, match="another version"):
        Book.open(path)
