"""What every bandit algorithm is: it selects arms, learns from their rewards, and can be saved.

A subclass sets `name` (the key users write), draws arms in `_select`, states its policy in
`probabilities`; where the running sums are not all it learns from, it overrides `_learn`, `_state`
and `_restore`, and where probabilities leave arms tied, `_ranking`. One file in this folder is all
that a further algorithm takes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlpersona.bandits.checks import whole
from rlpersona.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REGISTRY: dict[str, type[Bandit]] = {}


class Bandit(ABC):
    """A policy over `arms` arms whose rewards lie in [0, 1].

    The caller alternates `select` and `update`: exactly one update per non-empty selection, in any
    order and, for work in flight, several selections ahead. An evaluation that failed is left out
    of the update; a selection of which every evaluation failed is closed by an empty update.

    Every random choice comes from `rng`, seeded by `seed`: the same calls give the same arms.
    """

    name: ClassVar[str]
    contextual: ClassVar[bool] = False
    """Whether it is built with `features=`, an array (arms, d) of what is known about the arms."""
    plans: ClassVar[bool] = False
    """Whether selections in a row, without updates between them, are worth asking for: other arms, or
    the same ones on other questions (another `block`)."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            REGISTRY[cls.name] = cls

    def __init__(self, arms: int, seed: int = 0) -> None:
        self.arms = whole("arms", arms, low=1)
        self.seed = whole("seed", seed, low=0)
        self.rng = np.random.default_rng(self.seed)
        self.counts: Ints = np.zeros(self.arms, np.int64)
        self.sums: Floats = np.zeros(self.arms)
        self.updates = 0
        self.selections = 0

    @property
    def block(self) -> int:
        """The block of the last selection; read it after `select`.

        Arms selected under one number are to be evaluated on the same questions: their differences
        are then free of question noise. Most policies begin a block with each selection.
        """
        return max(0, self.selections - 1)

    @property
    def finished(self) -> bool:
        """Whether the algorithm has spent its own budget and selects no more."""
        return False

    def select(self, k: int) -> Ints:
        """At most `k` arms to evaluate; a sampling policy may repeat an arm.

        Empty only when `finished`, or when the updates of selections in flight must come first.
        """
        chosen = self._select(whole("k", k, low=1))
        self.selections += bool(len(chosen))
        return chosen

    def chances(self, arms: npt.ArrayLike) -> Floats | None:
        """How likely a draw of `select` is each of these arms at present, for an update that comes late.

        None (most algorithms) where an update means the same whenever it comes.
        """
        return None

    def update(
        self, arms: npt.ArrayLike, rewards: npt.ArrayLike, chances: npt.ArrayLike | None = None
    ) -> None:
        """Learn from one selection: flat arrays of equal length, one entry per evaluation.

        An arm that answered m questions appears m times. `chances` is what `chances(arms)` said when
        the arms were selected; without it they count as drawn from the policy of this moment. Raises
        DataError, with nothing learned, for an unknown arm, a reward that is not a finite number in
        [0, 1] or a chance that is not in (0, 1].
        """
        pulled, earned = self._checked(arms, rewards)
        drawn = None if chances is None else self._checked_chances(chances, len(pulled))
        self.counts += np.bincount(pulled, minlength=self.arms)
        self.sums += np.bincount(pulled, weights=earned, minlength=self.arms)
        self._learn(pulled, earned, drawn)
        self.updates += 1

    @abstractmethod
    def probabilities(self) -> Floats:
        """The policy as learned: shape (arms,), summing to 1. Draws nothing from `rng`."""

    def ranking(self, n: int) -> Ints:
        """The `n` arms to validate (all of them, if there are fewer), best first.

        The order is that of the policy, equal arms by number. It says whom to measure on fresh
        questions, not how good they are.
        """
        return self._ranking()[: whole("n", n, low=1)]

    def means(self) -> Floats:
        """Mean reward of each arm, shape (arms,); nan for an arm that has none."""
        return ratio(self.sums, self.counts)

    def state_dict(self) -> dict[str, Any]:
        """All that was learned, as plain data that survives JSON, down to the random generator.

        A selection that still awaits its update when this is taken awaits it after loading, too.
        """
        return {
            "name": self.name,
            "arms": self.arms,
            "rng": self.rng.bit_generator.state,
            "counts": self.counts.tolist(),
            "sums": self.sums.tolist(),
            "updates": self.updates,
            "selections": self.selections,
            **self._state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()` of a bandit of the same class, arms and parameters.

        Raises DataError for the state of another algorithm or number of arms, or a broken one.
        """
        found = (state.get("name"), state.get("arms"))
        if found != (self.name, self.arms):
            raise DataError(
                f"bandit state is of {found[0]!r} with {found[1]} arms, "
                f"not of {self.name!r} with {self.arms}",
                "Load it into the algorithm and the roster that wrote it.",
            )
        try:
            self.rng.bit_generator.state = state["rng"]
            self.counts = vector(state["counts"], self.arms, np.int64)
            self.sums = vector(state["sums"], self.arms, np.float64)
            self.updates = int(state["updates"])
            self.selections = int(state["selections"])
            self._restore(state)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"bandit state is broken: {type(error).__name__}: {error}",
                "Go back to an earlier checkpoint of the run.",
            ) from error

    @abstractmethod
    def _select(self, k: int) -> Ints: ...

    def _ranking(self) -> Ints:
        """All arms, best first."""
        return order(self.probabilities())

    def _learn(self, arms: Ints, rewards: Floats, chances: Floats | None) -> None:  # noqa: B027 (optional)
        """Whatever an update changes beyond the running sums, which already hold it."""

    def _state(self) -> dict[str, Any]:
        return {}

    def _restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027 (optional)
        """Take back what `_state` gave."""

    def _checked(self, arms: npt.ArrayLike, rewards: npt.ArrayLike) -> tuple[Ints, Floats]:
        pulled, earned = np.asarray(arms), np.asarray(rewards)
        if pulled.ndim != 1 or pulled.shape != earned.shape:
            raise DataError(
                f"arms have shape {pulled.shape}, rewards {earned.shape}",
                "Give two flat arrays of equal length, one entry per evaluation.",
            )
        if not pulled.size:
            return np.zeros(0, np.int64), np.zeros(0)
        if pulled.dtype.kind not in "iu" or pulled.min() < 0 or pulled.max() >= self.arms:
            raise DataError(
                f"update names an arm that is no whole number in 0..{self.arms - 1}",
                "Give the numbers that select() returned.",
            )
        if earned.dtype.kind not in "biuf" or not np.all((earned >= 0) & (earned <= 1)):
            raise DataError(
                "update has a reward that is not a number in [0, 1]",
                "Leave evaluations that failed out of the update; scale the others to [0, 1].",
            )
        return pulled.astype(np.int64), earned.astype(np.float64)

    def _checked_chances(self, chances: npt.ArrayLike, evaluations: int) -> Floats:
        drawn = np.asarray(chances)
        good = drawn.shape == (evaluations,) and (not evaluations or drawn.dtype.kind in "iuf")
        if not good or not np.all((drawn > 0) & (drawn <= 1)):
            raise DataError(
                f"chances of shape {drawn.shape} for {evaluations} evaluations, or outside (0, 1]",
                "Give what chances(arms) returned at the selection, one entry per evaluation.",
            )
        return drawn.astype(np.float64)


def ratio(sums: Floats, counts: Ints) -> Floats:
    """`sums / counts`, nan where there is no count."""
    means: Floats = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return means


def order(worth: Floats) -> Ints:
    """Positions by falling worth, equal ones by number."""
    return np.argsort(-worth, kind="stable").astype(np.int64)


def vector(values: Any, length: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """A saved list as an array; ValueError if its length is wrong."""
    array = np.array(values, dtype)
    if array.shape != (length,):
        raise ValueError(f"expected {length} values, found shape {array.shape}")
    return array
