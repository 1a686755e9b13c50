"""What the rounds seen so far say about the work: how much is done, how fast, how long still."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from rlpersona.report.records import Round

WINDOW = 12  # rounds over which the rate is taken
LINE_SECONDS, LINE_SHARE = 5.0, 0.1


class Progress:
    """The pace of a run, taken from its last rounds."""

    def __init__(self) -> None:
        self._recent: deque[Round] = deque(maxlen=WINDOW)

    @property
    def last(self) -> Round | None:
        """The round that ended last."""
        return self._recent[-1] if self._recent else None

    @property
    def share(self) -> float:
        """How much of the work is done, 0 to 1."""
        return min(1.0, self.last.round / self.last.rounds) if self.last and self.last.rounds else 0.0

    @property
    def rate(self) -> float | None:
        """Evaluations a second; None until there is something to measure."""
        change = self._change()
        return change[1] / change[2] if change else None

    @property
    def left(self) -> float | None:
        """Seconds until the last round ends; None until there is something to measure."""
        change = self._change()
        if not change or self.last is None or not change[0]:
            return None
        return max(0, self.last.rounds - self.last.round) * change[2] / change[0]

    def add(self, rounds: Iterable[Round]) -> None:
        """Take in rounds that have ended. A round or a clock that runs backwards is a resumed run:
        the pace is then taken anew."""
        for record in rounds:
            last = self.last
            if last and (record.round <= last.round or (record.seconds or 0) < (last.seconds or 0)):
                self._recent.clear()
            self._recent.append(record)

    def _change(self) -> tuple[int, int, float] | None:
        """Rounds, evaluations and seconds between the first and the last round of the window; from
        the start of the work while only its first round is known."""
        if not self._recent or self._recent[-1].seconds is None:
            return None
        first, last = self._recent[0], self._recent[-1]
        if first is last and last.round == 1:
            first = Round(round=0, rounds=last.rounds, seconds=0.0)
        seconds = (last.seconds or 0.0) - (first.seconds or 0.0)
        if seconds <= 0:
            return None
        return last.round - first.round, last.evaluations - first.evaluations, seconds


class Throttle:
    """Says when a line is due where nobody watches: at first, then only after LINE_SECONDS *and*
    LINE_SHARE of the work, so that a log stays short."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._share = 0.0

    def due(self, share: float) -> bool:
        """Whether to write a line at this share of the work; True starts the wait for the next."""
        now = time.monotonic()
        waited = self._at is None or (
            now - self._at >= LINE_SECONDS and share - self._share >= LINE_SHARE - 1e-9
        )
        if waited:
            self._at, self._share = now, share
        return waited
