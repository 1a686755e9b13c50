"""`resume` and `runs` against a cluster: what is sent of a run that is there, and jobs of others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from rlpersona import store
from rlpersona.cli import cli
from rlpersona.commands.runs import with_jobs
from rlpersona.commands.submission import Order, files_named
from rlpersona.config import BanditConfig
from rlpersona.errors import ConfigError
from rlpersona.runtime import jobs
from rlpersona.runtime.jobs import Job


class Cluster:
    """Knows one job, which somebody else submitted."""

    about: Mapping[str, str] = {"run": "theirs"}

    def __init__(self, _: str | None = None) -> None:
        pass

    def jobs(self) -> list[Job]:
        return [Job("a-1", "RUNNING", "python theirs.py", dict(self.about))]

    def find(self, _: str) -> Job:
        return self.jobs()[0]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """The orders that would be sent."""
    orders: list[Order] = []
    monkeypatch.setattr(jobs, "Cluster", Cluster)
    monkeypatch.setattr("rlpersona.commands.jobs.begin", lambda order, *_: orders.append(order))
    return orders


def test_the_files_that_a_run_names_travel_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[Order]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text("name\nAda\n")
    with store.opened(Path("runs"), BanditConfig(name="mine", personas="people.csv")) as run:
        run.keep()
    words = ["resume", "mine", "--address", "http://head:8265", "--env", "A=1"]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (order,) = sent
    assert order.words == ("bandit", "name=mine", "--resume")
    assert (order.run, order.runs, order.variables) == ("mine", str(tmp_path / "runs"), {"A": "1"})
    assert set(files_named(order)) == {"people.csv"}


def test_a_job_that_tells_nothing_of_its_words_is_not_guessed_at(
    tmp_path: Path, sent: list[Order]
) -> None:
    words = ["resume", "theirs", "--address", "http://head:8265", "--runs", str(tmp_path)]
    refused = CliRunner().invoke(cli, words).exception
    assert isinstance(refused, ConfigError)
    assert "How 'theirs' was begun" in refused.message
    assert not sent


def test_jobs_of_others_are_listed(tmp_path: Path, sent: list[Order]) -> None:
    ((name, state, result),) = with_jobs(tmp_path, "http://head:8265")
    assert (name, state) == ("theirs", "running")
    assert "does not tell" in result
    assert not sent
