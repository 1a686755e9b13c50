"""What one update of a condition says about itself, in the keys of a training by TRL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlpersona.training.kl import k3
from rlpersona.training.packed.loss import CLIP


@dataclass(frozen=True)
class Seen:
    """The tokens (M) of an update as the pass that was differentiated saw them; `row` as in a layout."""

    row: Tensor
    logps: Tensor
    entropy: Tensor
    ratio: Tensor
    ref: Tensor | None

    @classmethod
    def joined(cls, parts: Sequence[Seen]) -> Seen:
        """Those of several slices, whose rows are numbered through."""
        ref = None if parts[0].ref is None else torch.cat([p.ref for p in parts if p.ref is not None])
        return cls(
            torch.cat([p.row for p in parts]),
            torch.cat([p.logps for p in parts]),
            torch.cat([p.entropy for p in parts]),
            torch.cat([p.ratio for p in parts]),
            ref,
        )


def seen_measures(seen: Seen, advantages: Tensor, domains: Sequence[str]) -> dict[str, float]:
    """`entropy`, `kl` (nats a token, k3), also by domain, and the shares of clipped ratios.

    `advantages` and `domains` have one entry a completion.
    """
    columns = {} if seen.ref is None else {"kl": k3(seen.ref - seen.logps)}
    columns["entropy"] = seen.entropy
    found = {name: float(values.mean()) for name, values in columns.items()} | _clipped(seen, advantages)
    names = sorted(set(domains))
    kinds = torch.tensor([names.index(one) for one in domains], device=seen.row.device)[seen.row]
    for at, domain in enumerate(names):
        mine = kinds == at
        for name, values in columns.items():
            found[f"{domain}/{name}"] = float(values[mine].mean())
    return found


def drawn_measures(gaps: Tensor, trust: Tensor) -> dict[str, float]:
    """How far an engine is from the weights that are trained: TRL's `sampling/...`.

    `gaps` (M) are differences of log-probabilities, those that are no numbers left out; `trust` has
    `loss.correction` of each completion.
    """
    known = gaps[~gaps.isnan()].abs()
    gaps = known if len(known) else gaps.new_zeros(1)
    return {
        "sampling/sampling_logp_difference/mean": float(gaps.mean()),
        "sampling/sampling_logp_difference/max": float(gaps.max()),
        "sampling/importance_sampling_ratio/min": float(trust.min()),
        "sampling/importance_sampling_ratio/mean": float(trust.mean()),
        "sampling/importance_sampling_ratio/max": float(trust.max()),
    }


def _clipped(seen: Seen, advantages: Tensor) -> dict[str, float]:
    own = advantages.to(seen.row.device)[seen.row]
    low = ((seen.ratio < 1 - CLIP) & (own < 0)).float()
    high = ((seen.ratio > 1 + CLIP) & (own > 0)).float()
    count = torch.bincount(seen.row, minlength=len(advantages))
    by_row = [
        torch.zeros(len(advantages), device=seen.row.device).index_add_(0, seen.row, x) / count
        for x in (low, high)
    ]
    return {
        "clip_ratio/low_mean": float(low.mean()),
        "clip_ratio/high_mean": float(high.mean()),
        "clip_ratio/region_mean": float((low + high).mean()),
        "clip_ratio/low_min": float(by_row[0].min()),
        "clip_ratio/high_max": float(by_row[1].max()),
    }
