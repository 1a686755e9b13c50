"""What a notebook reads of a served policy is what happened, and the notebook says it."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest

from rlpersona.errors import DataError, RunError
from rlpersona.serving.book import book_path
from rlpersona.serving.choices import ChoiceBook, Seen, Side
from rlpersona.serving.history import history
from rlpersona.serving.policy import live_policy
from rlpersona.store import Run
from tests.support import ROOT
from tests.unit.serving.served_runs import bandit_run

BOOK = ROOT / "notebooks" / "06_served_policy.ipynb"


@pytest.fixture
def served(tmp_path: Path) -> Run:
    """A policy of four personas, taught by 60 rewards that the first persona earns; 20 draws more."""
    roster = tmp_path / "four.csv"
    roster.write_text("name\nAda\nBéla\nCleo\nDov\n", encoding="utf-8")
    run, _, _ = bandit_run(tmp_path, "search", roster=roster, arms_per_round=4, params={"lr": 0.5})
    policy = live_policy(run)
    for k in range(80):
        draw, _ = policy.draw(f"r{k}")
        if k < 60:
            policy.book.keep_reward(draw.response, float(draw.persona == "Ada"))
    policy.book.close()
    return run


def test_every_draw_is_there_once_with_its_reward(served: Run) -> None:
    table = history(served)
    assert list(table["response"]) == [f"r{k}" for k in range(80)]
    assert list(table["number"].dropna()) == list(range(1, 61))
    rated = table.dropna(subset="reward")
    assert ((rated["persona"] == "Ada") == (rated["reward"] == 1)).all()
    assert (rated["rewarded"] >= rated["drawn"]).all()
    assert table["chance"].iloc[0] == pytest.approx(0.25)
    assert table[table["persona"] == "Ada"]["chance"].iloc[-1] > 0.9, "it has learned"


def test_reading_leaves_the_file_to_its_service(served: Run) -> None:
    policy = live_policy(served)
    before = policy.state()
    history(served)
    policy.draw("later")
    assert policy.state() == before
    assert list(history(served)["response"])[-1] == "later"


def test_a_run_that_nobody_asked_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="Nobody has drawn") as caught:
        history(bandit_run(tmp_path)[0])
    assert "rlpersona serve search" in caught.value.hint


def test_a_torn_file_is_said(served: Run) -> None:
    book_path(served).write_bytes(b"not a database, but long enough to have a header" * 20)
    with pytest.raises(DataError, match="torn") as caught:
        history(served)
    assert "move it away" in caught.value.hint


def test_the_notebook_says_what_was_learned(served: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    choices = ChoiceBook(served.folder.parent / "serving")
    for k in range(6):
        sides = Side(f"yes {k}", "persona:Ada"), Side(f"no {k}", "persona:Dov")
        left, right = sides if k % 2 else sides[::-1]
        better = "left" if k % 2 else "right"
        choices.store(Seen((("user", f"{k}?"),), left, right, "tie" if k == 5 else better, "me"))
    monkeypatch.setenv("RLPERSONA_RUN", str(served.folder))
    book = nbformat.read(BOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells), "the notebook is kept without results"
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    shown = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert "80 answers of search, 60 of them with a reward." in printed
    assert "<svg" in shown
    assert "5 of 5" in shown
    first = float(printed.split("the first policy: ")[1].split(" ")[0])
    reach = float(printed.split("+- ")[1].split(",")[0])
    assert abs(first - 0.25) < reach, "uniform over four personas, one of which earns 1"
    served_as = float(printed.split("as served: ")[1])
    rewards = history(served)["reward"].dropna()
    assert served_as == pytest.approx(np.mean(rewards), abs=1e-3)
    assert served_as > first + reach
