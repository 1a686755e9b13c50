"""What the ranking shows in a sentence or two, and what a comparison of this size can show at all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from rlpersona.config import BASE, StagesConfig
from rlpersona.report import words
from rlpersona.report.records import Measured
from rlpersona.stats.win_rate_power import detectable_win_rate, win_rate_power

Record = dict[str, Any]
POWER = 0.8


def model_names(config: StagesConfig) -> list[str]:
    """All models that the graph makes, parents first: `base`, `sft`, `sft-rlhf`, ..."""
    found = [BASE]
    for path in config.graph:
        stages = path.split(" -> ")
        found += ["-".join(stages[: n + 1]) for n in range(len(stages))]
    return list(dict.fromkeys(found))


def final_names(config: StagesConfig) -> list[str]:
    """The models at which the graph's paths end."""
    return list(dict.fromkeys("-".join(path.split(" -> ")) for path in config.graph))


def power_lines(config: StagesConfig, prompts: int, found: float = 0.64) -> list[str]:
    """What the evaluation can see, said before it is paid for: the smallest win rate that is found with
    chance .8, alone and as one of all pairs, and the chance that a win rate `found` is."""
    names, level = model_names(config), config.evaluation.level
    pairs = len(list(combinations(names, 2)))
    alone = detectable_win_rate(prompts, POWER, level)
    strict = detectable_win_rate(prompts, POWER, 1 - (1 - level) / pairs)
    lines = [
        f"{prompts:,} evaluation prompts, {words.several(pairs, 'pair')} of {len(names)} models. With "
        f"one decided comparison a prompt, a true win rate of {_least(alone)} is found with chance "
        f"{POWER:g}, and one of {_least(strict)} as the strictest of all pairs.",
        f"A true win rate of {found:g} is found with chance "
        f"{win_rate_power(prompts, found, level):.2f}.",
    ]
    if config.evaluation.samples > 1:
        lines.append(
            f"{config.evaluation.samples} samples a prompt make it more sensitive, by how much is seen "
            "afterwards; the prompts stay the unit."
        )
    return lines


def verdict_of(
    config: StagesConfig, models: Sequence[Record], pairs: Sequence[Record], prompts: int
) -> str:
    """Who beats the base, what is shown between the ends of the graph; then the numbers, after a colon.

    "Shown" means: p after Holm's correction over all pairs is below 1 - level.
    """
    alpha = 1 - config.evaluation.level
    names = [one["name"] for one in models]
    ends = set(final_names(config)) & set(names)
    over_base = [pair for pair in pairs if pair["second"] == BASE]
    told = [*over_base, *(pair for pair in pairs if {pair["first"], pair["second"]} <= ends)]
    if not told:
        return "There are no two models to compare."
    missing = [name for name in model_names(config) if name not in names]
    heads = [*_heads(over_base, alpha), *_heads(told[len(over_base) :], alpha)]
    detail = "; ".join(_detail(pair, alpha) for pair in told)
    more = f" Not evaluated: {', '.join(missing)}." if missing else ""
    return f"{'; '.join(heads)}: over {words.several(prompts, 'prompt')}, {detail}.{more}"


def outcome(pair: Record, alpha: float) -> str:
    """What is shown of a pair: `better` and `worse` are the first model's; `open` and `unknown`."""
    won = pair["win"]
    if won is None:
        return "unknown"
    if won["p_holm"] >= alpha:
        return "open"
    return "better" if won["estimate"] > 0.5 else "worse"


def _heads(pairs: Sequence[Record], alpha: float) -> list[str]:
    """One clause for all models of which the same is shown against the same other."""
    clauses = {
        "better": ("beats", "beat"),
        "worse": ("loses to", "lose to"),
        "open": ("is not shown to differ from", "are not shown to differ from"),
        "unknown": ("cannot be compared with", "cannot be compared with"),
    }
    found: dict[tuple[str, str], list[str]] = {}
    for pair in pairs:
        found.setdefault((outcome(pair, alpha), pair["second"]), []).append(pair["first"])
    return [
        f"{_listed(names)} {clauses[what][len(names) > 1]} {second}"
        for (what, second), names in found.items()
    ]


def _detail(pair: Record, alpha: float) -> str:
    first, second, won = pair["first"], pair["second"], pair["win"]
    if won is None:
        return f"{first} and {second} have too few judged prompts"
    text = f"{first} wins {words.share_interval(Measured(**won))} against {second}"
    if outcome(pair, alpha) == "open":
        text += f" ({words.percent(pair['detectable'])} would have been found)"
    return text


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _least(rate: float | None) -> str:
    return "no size" if rate is None else f"{rate:.2f}"
