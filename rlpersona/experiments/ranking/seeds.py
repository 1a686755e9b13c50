"""Several runs of one graph, seed by seed: there the run is the unit, not the prompt.

An interval over prompts says how these trained models answer other prompts. How another training of the
same recipe would come out, only other trainings say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlpersona.errors import ConfigError
from rlpersona.experiments.ranking.models import plain
from rlpersona.experiments.ranking.verdict import outcome
from rlpersona.report import words
from rlpersona.report.records import Measured
from rlpersona.stats import bounded_interval, holm, paired_difference, t_interval
from rlpersona.store import flatten

Record = dict[str, Any]
FREE = (
    "name",
    "seed",
    "evaluation.",
    "judge.",
    "model.replicas",
    "model.cpus",
    "model.gpus",
    "side_by_side",
)


def refuse_unlike(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """ConfigError unless the runs differ in nothing but name, seed and how they are carried out."""
    names = list(configs)
    first = flatten(configs[names[0]])
    for name in names[1:]:
        other = flatten(configs[name])
        unlike = [
            key
            for key in sorted(first.keys() | other.keys())
            if first.get(key) != other.get(key) and not key.startswith(FREE)
        ]
        if unlike:
            key = unlike[0]
            raise ConfigError(
                f"'{names[0]}' and '{name}' are not seeds of one experiment: {key} is "
                f"{first.get(key)!r} and {other.get(key)!r}.",
                "Evaluate them one by one.",
            )
    seeds = [config.get("seed") for config in configs.values()]
    if len(set(seeds)) < len(seeds):
        raise ConfigError(
            f"Two of {', '.join(names)} have the same seed: that is one run twice.",
            "Train with another: seed=1 name=...",
        )


def combine(summaries: Sequence[Record], level: float) -> Record:
    """Win rates and measures of the models over runs, plain data: intervals count runs.

    For each two models that every run compared: the mean of the runs' win rates with Student's interval
    (the `bounded_interval` where no run differs), the t test of one half, Holm over pairs. Each run's
    own number stands beside it. Models that a run lacks are named in `missing`.
    """
    names = [record["name"] for record in summaries[0]["models"]]
    common = [name for name in names if all(name in _names(summary) for summary in summaries)]
    pairs = _pairs(summaries, level)
    return {
        "runs": [summary["run"] for summary in summaries],
        "seeds": [summary["seed"] for summary in summaries],
        "judge": summaries[0]["judge"],
        "level": level,
        "verdict": _verdict(pairs, len(summaries), 1 - level),
        "models": [_model(name, summaries, level) for name in common],
        "pairs": pairs,
        "missing": sorted({name for summary in summaries for name in _names(summary)} - set(common)),
    }


def _pairs(summaries: Sequence[Record], level: float) -> list[Record]:
    rows = []
    for pair in summaries[0]["pairs"]:
        same = [_pair(summary, pair["first"], pair["second"]) for summary in summaries]
        rates = [one["win"]["estimate"] for one in same if one is not None and one["win"] is not None]
        if len(rates) < len(summaries):
            continue
        over = (bounded_interval if len(set(rates)) == 1 else t_interval)(rates, level)
        test = paired_difference(rates, np.full(len(rates), 0.5), level)
        record = {"first": pair["first"], "second": pair["second"], "rates": rates}
        rows.append(record | {"win": _cut(plain(over) or {}) | {"p": test.p_value}})
    for row, p in zip(rows, holm([row["win"]["p"] for row in rows]), strict=True):
        row["win"]["p_holm"] = float(p)
    return rows


def _model(name: str, summaries: Sequence[Record], level: float) -> Record:
    """A model's measures, each run's mean as one value."""
    found: Record = {"name": name}
    for measure in ("stop", "tokens", "rank", "likeness"):
        values = [_measured(summary, name, measure) for summary in summaries]
        known = [value for value in values if value is not None]
        whole = len(known) == len(summaries)
        found[measure] = plain(t_interval(known, level)) if whole else None
    return found


def _verdict(pairs: Sequence[Record], runs: int, alpha: float) -> str:
    """What the runs together show of each two models."""
    says = {"better": "{} beats {}", "worse": "{} loses to {}", "open": "{} is not shown to beat {}"}
    told = [
        f"{says[outcome(pair, alpha)].format(pair['first'], pair['second'])} "
        f"({words.share_interval(Measured(**pair['win']))})"
        for pair in pairs
    ]
    return f"Over {words.several(runs, 'run')}: {'; '.join(told)}." if told else "Nothing in common."


def _cut(interval: Record) -> Record:
    """The part of an interval that a share can take."""
    return interval | {"low": max(0.0, interval["low"]), "high": min(1.0, interval["high"])}


def _pair(summary: Record, first: str, second: str) -> Record | None:
    places = ((pair, pair["first"], pair["second"]) for pair in summary["pairs"])
    return next((pair for pair, a, b in places if (a, b) == (first, second)), None)


def _names(summary: Record) -> set[str]:
    return {record["name"] for record in summary["models"]}


def _measured(summary: Record, name: str, measure: str) -> float | None:
    record = next(record for record in summary["models"] if record["name"] == name)
    value = record.get(measure)
    return None if value is None else value["estimate"]
