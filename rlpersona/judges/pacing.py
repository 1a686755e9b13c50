"""When the next request may start: requests and tokens a minute, and one gate for everybody on a 429.

All calls under one API key share one `Pacer`. A limit is given or read from the headers of a reply;
where neither tells it, or others use the key too, a 429 sets the pace a little under what was tried, and
from there it grows slowly until the next one. Starts are spread evenly, never in a burst, since
providers enforce their limits over shorter times than the minute in which they state them.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlpersona.models.api import Limits

SHARE = 0.98  # of the limit that is used: clocks differ, and requests reach the server in clumps
CATCH_UP = 0.5  # seconds' worth of starts that may follow closely after the process was held up
FIRST_REPLY = 2.0  # seconds for which the first call goes alone: its headers tell the limits
BACK_OFF = 0.8  # of the pace that brought a 429
LEAST = 0.5  # of a known limit: however many 429s come, they are not of our making below that
GROWTH = 0.04  # of the pace after a 429, each second without another
WATCHED = 5.0  # seconds of starts from which the pace is measured
FEW = 8  # starts from which no pace can be told
SHUT = 1.0  # seconds for which a 429 without Retry-After shuts the gate
UNLIMITED = float("inf")


class Clock:
    """Starts spread evenly at `per_minute` units, each of which takes its share of a minute.

    A virtual time at which the next one is due (the generic cell rate algorithm, ITU-T I.371).
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.per_minute = SHARE * (limit or UNLIMITED)
        self._due = 0.0

    def learn(self, told: int | None) -> None:
        """Go by the limit that a header tells, unless a lower one was given."""
        if told:
            self.per_minute = SHARE * min(told, self.limit or told)

    def wait(self, now: float) -> float:
        """Seconds until the next start."""
        return self._due - now

    def take(self, now: float, units: float, per_minute: float) -> None:
        """Book a start."""
        self._due = max(self._due, now - CATCH_UP) + 60 * units / per_minute


class Pacer:
    """Says when a call may start. Belongs to one event loop, whose monotonic clock it goes by.

    `requests_per_minute` and `tokens_per_minute` are the account's limits where they are known. Of a
    limit the share `SHARE` is used.
    """

    def __init__(
        self, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self._requests, self._tokens = Clock(requests_per_minute), Clock(tokens_per_minute)
        self._queue, self._answered = asyncio.Lock(), asyncio.Event()
        if requests_per_minute is not None:
            self._answered.set()
        self._gate = 0.0
        self._starts: deque[float] = deque()
        self._cut_at, self._cut_to = -UNLIMITED, UNLIMITED

    async def turn(self, tokens: float) -> float:
        """Wait until a call of that many tokens may start; the time at which it does.

        First come, first served. `tokens` is what the provider's limiter will count: the input and the
        whole output cap.
        """
        loop = asyncio.get_running_loop()
        async with self._queue:
            if self._starts and not self._answered.is_set():
                await self._first_reply()
            while (wait := self._wait(loop.time())) > 0:
                await asyncio.sleep(wait)
            now = loop.time()
            self._requests.take(now, 1, self.requests_per_minute(now))
            self._tokens.take(now, tokens, self._tokens.per_minute)
            self._starts.append(now)
            while self._starts[0] < now - WATCHED:
                self._starts.popleft()
            return now

    def requests_per_minute(self, now: float) -> float:
        """The pace in use at the time `now`; infinite where nothing holds it back."""
        quiet = max(0.0, now - max(self._cut_at, self._gate))
        grown = self._cut_to * math.pow(1 + GROWTH, min(quiet, 3600.0))
        return min(self._requests.per_minute, grown)

    def heard(self, limits: Limits | None = None) -> None:
        """The provider has answered; `limits` is what its headers tell, if they came."""
        self._answered.set()
        if limits is None:
            return
        self._requests.learn(limits.requests_limit)
        self._tokens.learn(limits.tokens_limit)
        if limits.requests_left == 0 or limits.tokens_left == 0:
            # Others use the key too: the allowance gets the time of one request to fill.
            self._shut(60 / self._requests.per_minute)

    def refused(self, started: float, after: float | None) -> None:
        """A 429 to the call that started at `started`: nobody starts for `after` seconds.

        Refusals of calls that were under way at the last cut tell nothing more than it did.
        """
        now = asyncio.get_running_loop().time()
        self._answered.set()
        if after is not None:
            self._shut(after)
        if started <= self._cut_at:
            return
        pace = BACK_OFF * min(self.requests_per_minute(now), self._tried(now))
        known = self._requests.per_minute
        self._cut_at, self._cut_to = now, max(1.0 if known == UNLIMITED else LEAST * known, pace)
        if after is None:
            self._shut(SHUT)

    async def _first_reply(self) -> None:
        """Hold the others back until the first call is answered, or takes too long."""
        try:
            await asyncio.wait_for(self._answered.wait(), FIRST_REPLY)
        except TimeoutError:
            self._answered.set()

    def _shut(self, seconds: float) -> None:
        self._gate = max(self._gate, asyncio.get_running_loop().time() + seconds)

    def _wait(self, now: float) -> float:
        return max(self._gate - now, self._requests.wait(now), self._tokens.wait(now))

    def _tried(self, now: float) -> float:
        """Starts a minute over the last `WATCHED` seconds; infinite where too few tell nothing."""
        seen = [start for start in self._starts if start >= now - WATCHED]
        return 60 * len(seen) / max(1.0, now - seen[0]) if len(seen) >= FEW else UNLIMITED
