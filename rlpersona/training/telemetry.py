"""What one step of GRPO says about itself: where the reward came from, and what reached the gradient.

GRPO learns from advantages, not from rewards. Of a completion i in group g, with total reward
`r_i = t_i + c_i` (task and what biases added, weights included) and `d(x)_i = x_i - mean of x over g`,

    A_i = k_g d(r)_i = k_g d(t)_i + k_g d(c)_i

where k_g is what `scale_rewards` makes of the group: 1, 1 / sd of the group, or 1 / sd of the batch. The
factor is read off the advantages that TRL used, k_g = sum A d(r) / sum d(r)^2, so nothing is recomputed
here. Two numbers follow, over the completions of a domain:

    effective_dose = sum_i A_i k_g d(c)_i / sum_i A_i^2       the covariance share of the bias; the share
                                                              of the task is 1 minus this
    bias_push      = sqrt( mean_i (k_g d(c)_i)^2 )            the bias's part of the advantage, its size

`bias_weight` is the dose that was asked for; these say what came of it. With scaling by group and task
scores that tie, the effective dose is 1 and the push is 1 at *every* weight: the dose has divided out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.rewards import Answer, Parts

Floats = npt.NDArray[np.float64]
TIE = 1e-9  # spread of a group's scores below which they are equal


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion of a step, as it was rewarded. None where nothing could be scored."""

    domain: str
    task: float | None
    added: float
    total: float | None
    biases: Mapping[str, float]
    tokens: int
    finished: bool


def rewarded(answers: Sequence[Answer], parts: Parts) -> list[Rollout]:
    """What the measures are told of each answer."""
    return [
        Rollout(
            answer.question.domain,
            parts.task[i],
            parts.added[i],
            parts.total[i],
            {name: values[i] for name, values in parts.biases.items()},
            answer.tokens,
            answer.finished,
        )
        for i, answer in enumerate(answers)
    ]


def step_measures(
    rollouts: Sequence[Rollout], advantages: Sequence[float], group: int
) -> dict[str, float]:
    """The measures of one step, over all completions and (as `DOMAIN/...`) of each domain.

    `rollouts` come in groups of `group` completions of one prompt, in order; `advantages` are those that
    the trainer used, one a completion. The keys:

    `task`, `total`, `bias/NAME`  mean scores, of the completions that could be scored
    `unscored`                    share that could not
    `effective_dose`, `bias_push` see the module; left out where no advantage differs from 0
    `dose_sd`                     sd of the bias's part within groups / sd of the task's, over groups;
                                  left out where no task score differs within a group
    `tied_groups`                 share of groups whose task scores are all equal
    `length`, `stop_rate`         mean tokens; share of completions that ended by themselves
    """
    table = _Table.of(rollouts, advantages, group)
    found = dict(_measures(table))
    for domain in sorted({rollout.domain for rollout in rollouts}):
        part = table.only(domain)
        found |= {f"{domain}/{key}": value for key, value in _measures(part)}
    return found


@dataclass(frozen=True)
class _Table:
    """Groups in rows, completions in columns, except for the domain of each group."""

    domains: list[str]
    task: Floats
    added: Floats
    total: Floats
    advantage: Floats
    biases: dict[str, Floats]
    tokens: Floats
    finished: Floats

    @classmethod
    def of(cls, rollouts: Sequence[Rollout], advantages: Sequence[float], group: int) -> _Table:
        def grid(values: Sequence[float | None]) -> Floats:
            return np.array(values, dtype=np.float64).reshape(-1, group)  # None becomes nan

        names = list(dict.fromkeys(name for rollout in rollouts for name in rollout.biases))
        return cls(
            [rollout.domain for rollout in rollouts[::group]],
            grid([rollout.task for rollout in rollouts]),
            grid([rollout.added for rollout in rollouts]),
            grid([rollout.total for rollout in rollouts]),
            grid(advantages),
            {name: grid([rollout.biases.get(name) for rollout in rollouts]) for name in names},
            grid([rollout.tokens for rollout in rollouts]),
            grid([rollout.finished for rollout in rollouts]),
        )

    def only(self, domain: str) -> _Table:
        rows = np.array([here == domain for here in self.domains])
        return _Table(
            [domain] * int(rows.sum()),
            self.task[rows],
            self.added[rows],
            self.total[rows],
            self.advantage[rows],
            {name: values[rows] for name, values in self.biases.items()},
            self.tokens[rows],
            self.finished[rows],
        )


def _measures(table: _Table) -> Iterator[tuple[str, float]]:
    scored = ~np.isnan(table.total)
    yield "unscored", 1 - float(scored.mean())
    if scored.any():
        yield "task", float(table.task[scored].mean())
        yield "total", float(table.total[scored].mean())
        for name, values in table.biases.items():
            yield f"bias/{name}", float(np.nanmean(values))
        yield from _doses(table)
        groups = [row[mask] for row, mask in zip(table.task, scored, strict=True) if mask.any()]
        yield "tied_groups", float(np.mean([np.ptp(group) < TIE for group in groups]))
    yield "length", float(table.tokens.mean())
    yield "stop_rate", float(table.finished.mean())


def _doses(table: _Table) -> Iterator[tuple[str, float]]:
    total, task = _centred(table.total), _centred(table.task)
    bias = np.where(np.isnan(table.total), 0.0, total - task)
    square = (total**2).sum(axis=1, keepdims=True)
    product = (table.advantage * total).sum(axis=1, keepdims=True)
    scale = np.divide(product, square, out=np.zeros_like(square), where=square > TIE**2)
    reached = scale * bias
    power = float((table.advantage**2).sum())
    if power > TIE**2:
        yield "effective_dose", float((table.advantage * reached).sum()) / power
        yield "bias_push", math.sqrt(float((reached**2).mean()))
    if (within := float((task**2).sum())) > TIE**2:
        yield "dose_sd", math.sqrt(float((bias**2).sum()) / within)


def _centred(values: Floats) -> Floats:
    """Differences from the mean of the scored of each group, 0 where there is no score."""
    scored = ~np.isnan(values)
    filled = np.where(scored, values, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / np.maximum(scored.sum(axis=1, keepdims=True), 1)
    return np.where(scored, filled - mean, 0.0)
