"""Rounds under way: drawn ahead of their rewards, answered in threads, learned in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from rlpersona.bandits import Bandit
from rlpersona.config import BanditConfig
from rlpersona.experiments.bandit.evaluation import evaluate_pairs
from rlpersona.experiments.bandit.inputs import Inputs
from rlpersona.experiments.bandit.rounds import Answers, Draw, draw, restored
from rlpersona.judges.base import Judge
from rlpersona.types import Model, Score


class Flights:
    """Up to `config.in_flight` rounds at a time, so that replicas never wait for the policy.

    A round is drawn when the one `in_flight` before it has been learned, whichever is answered first:
    results do not depend on timing. With more than one round in flight, several threads call the model
    at a time, as a `PooledModel` allows. The budget counts evaluations, of which `spent` are learned.
    """

    def __init__(
        self,
        config: BanditConfig,
        inputs: Inputs,
        policy: Bandit,
        model: Model,
        spent: int = 0,
        saved: Sequence[list[dict[str, Any]]] = (),
        judge: Judge | None = None,
    ) -> None:
        self._judge = judge
        self._config, self._inputs, self._policy, self._model = config, inputs, policy, model
        self._drawn = spent
        self._threads = ThreadPoolExecutor(config.in_flight, thread_name_prefix="round")
        self._under_way: deque[tuple[Draw, Future[list[Score]]]] = deque()
        for state in saved:
            self._ask(restored(state, inputs.search, config))

    def more(self) -> bool:
        """Draw what may be drawn; False when nothing is left: budget spent, or the policy done."""
        while len(self._under_way) < self._config.in_flight and self._drawn < self._config.budget:
            asked = draw(self._policy, self._inputs.search, self._config)
            if asked is None:
                break
            self._ask(asked)
        return bool(self._under_way)

    def next(self) -> tuple[Draw, Answers]:
        """Wait for the oldest round: its draw and what each of its pairs earned."""
        asked, scores = self._under_way.popleft()
        return asked, dict(zip(asked.distinct, scores.result(), strict=True))

    def state(self) -> list[list[dict[str, Any]]]:
        """The rounds under way as plain data, to be asked again after a crash."""
        return [asked.state() for asked, _ in self._under_way]

    def close(self) -> None:
        """Wait for the threads; what was not begun is dropped."""
        self._threads.shutdown(cancel_futures=True)

    def _ask(self, asked: Draw) -> None:
        self._drawn += asked.size
        people, questions = self._inputs.personas, asked.questions
        pairs = [(people[arm], questions[j]) for arm, j in asked.distinct]
        scores = self._threads.submit(
            evaluate_pairs, self._model, pairs, self._config, self._config.reward, self._judge
        )
        self._under_way.append((asked, scores))
