"""Rewards that clients give to answers of a policy."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlpersona.errors import ConfigError, UnknownResponseError
from rlpersona.serving.book import Book, book_path
from rlpersona.serving.names import shown
from rlpersona.store import find

LONGEST = 200  # characters of a response's id


class FeedbackBook:
    """Takes rewards for the policies of `runs`; every replica has one of its own on the same files.

    Files that nobody has drawn from yet are opened when they are there.
    """

    def __init__(self, root: Path, runs: Sequence[str]) -> None:
        self._paths = {name: book_path(find(root, name)) for name in runs}
        self._open: dict[str, Book] = {}
        self._guard = threading.Lock()

    def record(self, response_id: str, reward: float) -> dict[str, Any]:
        """Keep the reward, in [0, 1], of one response; on the disk when this returns.

        Returns `response_id`, `run`, `persona`, `reward`, and `recorded`: False where the very same was
        said before, which changes nothing. Blocks for a disk write: not for an event loop.

        Raises:
            ConfigError: no reward in [0, 1].
            UnknownResponseError: no served policy gave that response.
            ConflictError: the response has another reward already.
        """
        value = checked(reward)
        fits = isinstance(response_id, str) and 0 < len(response_id) <= LONGEST
        if not fits or not response_id.isprintable():
            said = shown(response_id) if isinstance(response_id, str) else type(response_id).__name__
            raise ConfigError(
                f"response_id: {said} is no id.",
                "Give the id of a response of a bandit: model.",
            )
        for run, book in self._books():
            drawn = book.draw_of(response_id)
            if drawn is not None:
                recorded = book.keep_reward(response_id, value)
                return {
                    "response_id": response_id,
                    "run": run,
                    "persona": drawn.persona,
                    "reward": value,
                    "recorded": recorded,
                }
        raise UnknownResponseError(
            f"No policy that is served gave response {shown(response_id)}.",
            "Give the id of a response whose model was bandit:RUN.",
        )

    def close(self) -> None:
        """Let go of the files. Safe to call twice."""
        with self._guard:
            for book in self._open.values():
                book.close()
            self._open = {}

    def _books(self) -> list[tuple[str, Book]]:
        with self._guard:
            for run, path in self._paths.items():
                if run not in self._open and path.is_file():
                    self._open[run] = Book.open(path)
            return list(self._open.items())


def checked(reward: object) -> float:
    """The reward as a float; ConfigError for what is no finite number in [0, 1]."""
    if isinstance(reward, int | float) and not isinstance(reward, bool) and 0 <= reward <= 1:
        return float(reward)
    said = shown(repr(reward)) if isinstance(reward, float | str) else type(reward).__name__
    raise ConfigError(f"reward: {said} is no number from 0 to 1.", "Scale rewards to [0, 1].")
