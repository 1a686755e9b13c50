"""A bandit's policy that goes on learning while it is served.

Every replica holds the policy of the finished search and the rewards that came since, in the order in
which the book numbers them: equal books make equal policies, bit for bit, in a replica that was started
again, too. A draw has randomness of its own, made from the response's id, so that drawing changes
nothing that replicas would have to share.

- REINFORCE, the probability steps and the per-question policy compare the rewards of one update with
  each other, and a single reward teaches them nothing. They wait until as many rewards are there as the
  search drew personas in a round (`arms_per_round`). Rewards come late, from draws of older policies;
  they are weighted by the chance of the draw, as rounds in flight are (`bandits.late`).
- Other policies that can go on learn from each reward as it comes.
- A policy with a plan (halving, uniform, ...) is done when its budget is spent. It goes on as Thompson
  sampling from what the search counted of each persona.
- Where the checkpoints of the search are gone, REINFORCE goes on from the probabilities that
  `personas.parquet` keeps.

Feedback adds to what the search measured as if it were the same reward on the same scale.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlpersona.bandits import BANDITS, Bandit
from rlpersona.bandits.base import Floats, vector
from rlpersona.bandits.contextual import PerQuestion
from rlpersona.bandits.gradient import GradientBandit
from rlpersona.bandits.probability import ProbabilityBandit
from rlpersona.bandits.thompson import ThompsonSampling
from rlpersona.config import BanditConfig
from rlpersona.errors import RunError
from rlpersona.experiments.bandit.inputs import make_policy
from rlpersona.serving.book import Book, Draw, Reward, book_path
from rlpersona.serving.people import roster_of, saved_values
from rlpersona.store import PERSONAS, Run
from rlpersona.tasks.identity import digest, unit
from rlpersona.types import Persona

STATE = "state.json"
LEAST = 1e-12  # probability, of personas whose stored one is 0 and has no logarithm


class LivePolicy:
    """The policy of a run over `personas`; threads may share it."""

    def __init__(
        self, run: str, bandit: Bandit, personas: Sequence[Persona], book: Book, group: int = 1
    ) -> None:
        self.run, self.personas, self.book = run, personas, book
        self._bandit, self._group = bandit, group
        self._waiting: list[Reward] = []
        self._seen = 0
        self._samples = bandit.chances([0]) is not None  # it draws by its probabilities
        self._chances: Floats | None = None
        self._upto: Floats = np.zeros(0)
        self._guard = threading.Lock()
        book.begin(digest(bandit.state_dict()))

    def draw(self, response: str) -> tuple[Draw, Persona]:
        """Draw the persona that answers a response; on the disk when this returns.

        The same response gets the same persona, whoever asks. Errors as those of `Book`.
        """
        with self._guard:
            self._learn()
            arm, chance = self._drawn(response)
            drawn = self.book.keep_draw(Draw(response, arm, self.personas[arm].name, chance, self._seen))
        return drawn, self.personas[drawn.arm]

    def state(self) -> dict[str, Any]:
        """All that decides the next draw, after the rewards there are at present; plain data."""
        with self._guard:
            self._learn()
            waiting = [[one.arm, one.reward, one.chance] for one in self._waiting]
            return {"policy": self._bandit.state_dict(), "seen": self._seen, "waiting": waiting}

    def probabilities(self) -> dict[str, float]:
        """The policy as learned by now: persona -> probability."""
        with self._guard:
            self._learn()
            chances = self._bandit.probabilities().tolist()
        return {person.name: p for person, p in zip(self.personas, chances, strict=True)}

    def _learn(self) -> None:
        for reward in self.book.rewards_after(self._seen):
            self._waiting.append(reward)
            self._seen = reward.number
            if len(self._waiting) == self._group:
                chances = [one.chance for one in self._waiting if one.chance is not None]
                self._bandit.update(
                    [one.arm for one in self._waiting],
                    [one.reward for one in self._waiting],
                    chances if len(chances) == self._group else None,
                )
                self._waiting, self._chances = [], None

    def _drawn(self, response: str) -> tuple[int, float | None]:
        if self._samples:
            if self._chances is None:
                self._chances = self._bandit.probabilities()
                self._upto = self._chances.cumsum()
            total = self._upto[-1]
            place = np.searchsorted(self._upto, unit("draw", self.run, response) * total, "right")
            arm = int(min(place, np.searchsorted(self._upto, total)))  # the product may round up to it
            return arm, float(self._chances[arm])
        bandit, seed = self._bandit, int(digest("draw", self.run, response)[:32], 16)
        own, selections = bandit.rng, bandit.selections
        bandit.rng = np.random.default_rng(seed)
        (arm,) = bandit.select(1).tolist()
        bandit.rng, bandit.selections = own, selections
        return arm, None


def live_policy(run: Run) -> LivePolicy:
    """The policy of a finished bandit run.

    Raises:
        RunError: another kind of run, one that is not finished, or one that searched for nobody.
        DataError: its roster is not the one that it worked on, or its files are torn.
    """
    config = bandit_config(run)
    personas = roster_of(run, config)
    bandit = _learned(run, config, personas)
    return LivePolicy(run.name, bandit, personas, Book.open(book_path(run)), _group(bandit, config))


def bandit_config(run: Run) -> BanditConfig:
    """The config of a finished search; RunError otherwise."""
    values = saved_values(run)
    if values.get("experiment") != "bandit":
        raise RunError(
            f"Run '{run.name}' is a {values.get('experiment')}: it has no policy.",
            "Name a run of `rlpersona bandit`.",
        )
    if not run.finished:
        raise RunError(
            f"Run '{run.name}' is not finished.",
            f"Finish it: rlpersona bandit name={run.name} --resume",
        )
    config = BanditConfig.model_validate(values)
    if not config.search:
        raise RunError(
            f"Run '{run.name}' measured baselines alone (search=false): it has no policy.",
            "Name a run that searched.",
        )
    return config


def _learned(run: Run, config: BanditConfig, personas: Sequence[Persona]) -> Bandit:
    """The algorithm of the search as the search left it, or what goes on for it (see above)."""
    state = _last_state(run)
    if state is None:
        return _from_probabilities(run, config)
    if not BANDITS[config.algorithm].plans:
        policy = make_policy(config, personas)
        policy.load_state_dict(state)
        return policy
    heir = ThompsonSampling(len(personas), config.seed)
    heir.counts = vector(state["counts"], heir.arms, np.int64)
    heir.sums = vector(state["sums"], heir.arms, np.float64)
    return heir


def _last_state(run: Run) -> dict[str, Any] | None:
    """The policy's state at the end of the search; None where no checkpoint has it."""
    rounds = run.metrics()
    for path in sorted(run.checkpoints.glob(f"*/{STATE}"), reverse=True):
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            if state["round"] == rounds[-1]["round"]:
                return dict(state["policy"])
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue  # torn, or no state of a search: another one may be whole
    return None


def _from_probabilities(run: Run, config: BanditConfig) -> GradientBandit:
    import pandas as pd

    stored = pd.read_parquet(run.folder / PERSONAS, columns=["probability"])["probability"]
    params = config.params if config.algorithm == GradientBandit.name else {}
    bandit = GradientBandit(len(stored), config.seed, **params)
    bandit.logits = np.log(np.maximum(stored.to_numpy(np.float64), LEAST))
    return bandit


def _group(bandit: Bandit, config: BanditConfig) -> int:
    """Rewards of one update: several where they are compared with each other."""
    alone = isinstance(bandit, GradientBandit) and bandit.baseline in ("ema", "none")
    compared = isinstance(bandit, GradientBandit | ProbabilityBandit | PerQuestion)
    return max(2, config.arms_per_round) if compared and not alone else 1
