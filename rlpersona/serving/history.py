"""What happened while a policy was served, as a table; the service may be running meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from rlpersona.errors import RunError
from rlpersona.serving.book import book_errors, book_path
from rlpersona.store import Run

if TYPE_CHECKING:
    import pandas as pd

HISTORY = """
    SELECT response, persona, chance, seen, draws.time AS drawn, rewards.id AS number, reward,
           rewards.time AS rewarded
    FROM draws LEFT JOIN rewards USING (response) ORDER BY draws.time, response
"""


def history(run: Run) -> pd.DataFrame:
    """Every draw of a run's policy in the order of time, with what it earned.

    Columns: response, persona, chance (that the policy gave this persona, nan where it does not draw by
    probabilities), seen (rewards it had learned from), drawn (UTC), number (of the reward, in the order
    in which rewards are learned), reward (in [0, 1]), rewarded (UTC); the last three are empty where
    nobody gave a reward.

    Raises:
        RunError: the run was never served as `bandit:RUN`.
        DataError: its file is torn, or another kind of file.
    """
    import pandas as pd

    path = book_path(run)
    if not path.is_file():
        raise RunError(
            f"Nobody has drawn from the policy of run '{run.name}' yet.",
            f"Serve it (rlpersona serve {run.name}) and ask for the model bandit:{run.name}.",
        )
    with (
        book_errors(path),
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db,
    ):
        found = db.execute(HISTORY)  # pandas would wrap SQLite's errors in one of its own
        table = pd.DataFrame(found.fetchall(), columns=[column for column, *_ in found.description])
    table = table.astype({"chance": float, "reward": float, "number": "Int64"})
    for column in ("drawn", "rewarded"):
        table[column] = pd.to_datetime(table[column].astype(float), unit="s", utc=True)
    return table
