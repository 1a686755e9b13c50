"""What a search learned of each persona, from its events: means, intervals, shrinkage, comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from rlpersona.bandits import Bandit
from rlpersona.config import BanditConfig
from rlpersona.stats import null_maximum, shrink
from rlpersona.types import Persona

Floats = npt.NDArray[np.float64]
COUNTS = ["pulls", "evaluations", "wins", "losses", "ties"]


def learned_table(
    personas: Sequence[Persona], policy: Bandit, events: pd.DataFrame, level: float = 0.95
) -> pd.DataFrame:
    """One row per persona; the reward of one never drawn is nan, and so are its `low` and `high`.

    `reward` is the mean over the evaluations. Its interval counts each question once, however often the
    search came back to it: Wilson's where all rewards are 0 or 1, else Student's. `shrunk` is the
    empirical Bayes estimate within field and era. `wins`, `losses` and `ties`: see `duels`.
    """
    names = pd.Index([persona.name for persona in personas])
    table = pd.DataFrame({"name": names, **dict.fromkeys(COUNTS, 0), "reward": np.nan})
    table[["low", "high", "shrunk"]] = np.nan
    if len(events):
        events = events[["round", "persona", "question", "reward"]]
        seen = events.groupby("persona").agg(
            pulls=("round", "nunique"), evaluations=("reward", "size"), reward=("reward", "mean")
        )
        seen = seen.join(duels(events)).join(means_over_questions(events, level)).reindex(names)
        seen["shrunk"] = shrunken(personas, seen)
        table[COUNTS] = seen[COUNTS].fillna(0).astype(int).to_numpy()
        for column in ("reward", "low", "high", "shrunk"):
            table[column] = seen[column].to_numpy()
    known = {
        "group": pd.array([persona.group for persona in personas], dtype="string"),
        "field": pd.array([persona.field for persona in personas], dtype="string"),
        "era": pd.array([persona.era for persona in personas], dtype="string"),
        "birth_year": pd.array([persona.birth_year for persona in personas], dtype="Int64"),
        "fame": pd.array([persona.fame for persona in personas], dtype="Float64"),
    }
    return table.assign(**known, probability=policy.probabilities())


def duels(events: pd.DataFrame) -> pd.DataFrame:
    """How often each persona's reward lay above, below or at the mean reward of the *other* personas
    that answered the same question in the same round; counted over (round, question).

    A question that no other persona was scored on in that round is not counted.
    """
    scored = events.dropna(subset="reward")
    place = scored.groupby(["round", "question"], sort=False).ngroup().to_numpy()
    own = scored["reward"].to_numpy(np.float64)
    total, answers = np.bincount(place, own)[place], np.bincount(place)[place]
    # own against (total - own) / (answers - 1), without the division
    lead = own * (answers - 1) - (total - own)
    met, level = answers > 1, np.isclose(lead, 0, atol=1e-9)
    outcomes = {
        "wins": met & (lead > 0) & ~level,
        "losses": met & (lead < 0) & ~level,
        "ties": met & level,
    }
    found: pd.DataFrame = pd.DataFrame(outcomes).groupby(scored["persona"].to_numpy()).sum()
    return found


def means_over_questions(events: pd.DataFrame, level: float) -> pd.DataFrame:
    """`mean`, `questions`, `variance`, `binary`, `low`, `high` by persona: the question is the unit.

    An answer is the same each time that a question comes up again, and so is no further evidence.
    """
    from scipy import special
    from statsmodels.stats.proportion import proportion_confint

    answers = (
        events.dropna(subset="reward").groupby(["persona", "question"], sort=False)["reward"].mean()
    )
    found = answers.groupby("persona").agg(mean="mean", questions="size", variance="var")
    found["binary"] = answers.isin((0, 1)).groupby("persona").all()
    n = found["questions"]
    wilson = proportion_confint(found["mean"] * n, n, 1 - level, method="wilson")
    t = special.stdtrit(np.maximum(n - 1, 1), 0.5 + level / 2)
    reach = t * np.sqrt(found["variance"] / n)  # nan below two questions
    bounded: pd.DataFrame = found.assign(
        low=np.where(found["binary"], wilson[0], (found["mean"] - reach).clip(lower=0)),
        high=np.where(found["binary"], wilson[1], (found["mean"] + reach).clip(upper=1)),
    )
    return bounded


def shrunken(personas: Sequence[Persona], seen: pd.DataFrame) -> Floats:
    """Empirical Bayes estimates within field and era; all nan where nothing was scored.

    `seen` has `mean`, `questions`, `variance` and `binary`, row by row for the personas.
    """
    counts = seen["questions"].fillna(0).to_numpy()
    if not counts.any():
        return np.full(len(seen), np.nan)
    means = seen["mean"].to_numpy(np.float64)
    groups = [[persona.field for persona in personas], [persona.era for persona in personas]]
    groups = [labels for labels in groups if len(set(labels)) > 1]
    binary = bool((seen["binary"] == True)[counts > 0].all())  # noqa: E712 (nan where never scored)
    return shrink(means, counts, groups, None if binary else pooled_variance(seen)).estimates


def pooled_variance(seen: pd.DataFrame) -> float | None:
    """Variance of a reward within a persona, over all of them; None if none was asked twice."""
    spread = seen.dropna(subset="variance")
    weights = spread["questions"] - 1
    pooled = float((spread["variance"] * weights).sum() / max(1.0, float(weights.sum())))
    return pooled or None


def selection_noise(config: BanditConfig, learned: pd.DataFrame, questions: int) -> float | None:
    """What the best of equal personas would gain by chance, had the budget been spent evenly.

    Of `questions` there are no more to answer, however often they were asked. What the personas are
    taken to be equal at is the mean of `shrunk`, in which each of them counts once: a search that
    settled on the best has evaluated hardly anybody else. None for fractional rewards, whose spread is
    not binomial.
    """
    asked = min(questions, int(learned["evaluations"].sum() / len(learned)))
    if config.reward != "accuracy" or asked < 1:
        return None
    return null_maximum(len(learned), asked, min(1.0, max(0.0, float(learned["shrunk"].mean()))))
