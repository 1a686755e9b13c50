"""The loss of GRPO for one condition, to the numbers of TRL 1.16."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rlpersona.config.training import GRPORecipe
from rlpersona.training.kl import k3

CLIP = 0.2  # of the ratio (TRL's epsilon)
MOST = 3.0  # by which a completion may have become likelier than it was drawn (TRL's)
SLACK = 1e-4  # beside a standard deviation (TRL's)


def advantages(totals: Sequence[float | None], recipe: GRPORecipe) -> Tensor:
    """A = r - mean of the group, divided as `scale_rewards` says (float32); 0 where there is no reward.

    Shao et al. 2024, arXiv:2402.03300, section 4.1.2; without the division Liu et al. 2025,
    arXiv:2503.20783. A completion without a reward takes no part in its group's mean.
    """
    rewards = torch.tensor([torch.nan if one is None else one for one in totals])
    groups = rewards.view(-1, recipe.num_generations)
    found = groups - groups.nanmean(1, keepdim=True)
    if recipe.scale_rewards == "group":
        found = found / (_spread(groups, 1) + SLACK)
    elif recipe.scale_rewards == "batch":
        found = found / (_spread(rewards, 0) + SLACK)
    return torch.nan_to_num(found.flatten(), nan=0.0)


def token_weights(lengths: Tensor, recipe: GRPORecipe) -> Tensor:
    """What a token's loss counts in each completion (R), so that the loss of a condition is a plain sum.

    `grpo`: the mean of the completions' means; `dapo` (Yu et al. 2025, arXiv:2503.14476) and `bnpo`: the
    mean over all tokens; `dr_grpo`: over as many as there could be. Micro-batches change none of them
    (TRL's `bnpo` is normalised by micro-batch).
    """
    rows = len(lengths)
    if recipe.loss == "grpo":
        return 1 / (rows * lengths.float())
    tokens = rows * recipe.max_completion if recipe.loss == "dr_grpo" else int(lengths.sum())
    return torch.full((rows,), 1 / tokens, device=lengths.device)


def token_losses(
    logps: Tensor,
    old: Tensor,
    ref: Tensor | None,
    advantage: Tensor,
    beta: float,
    trust: Tensor | float = 1.0,
) -> Tensor:
    """The clipped surrogate of each token, and `beta` times the k3 estimate of KL(now, start).

    All are (M,); `advantage` is that of the token's completion, and so is `trust`, which the surrogate
    is multiplied with (`correction`). Shao et al. 2024, equations 3 and 4.
    """
    ratio = torch.exp(logps - old)
    loss = -torch.min(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage) * trust
    if ref is None:
        return loss
    return loss + beta * k3(ref - logps)


def correction(old: Tensor, drawn: Tensor, row: Tensor, rows: int) -> Tensor:
    """What each of `rows` completions of another engine counts: p(now) / p(drawn), 0 above `MOST`.

    `old` and `drawn` (M) are log-probabilities of the tokens by the weights that are trained and by the
    engine; TRL's `sequence_mask` (Yao et al. 2025, "Your efficient RL framework secretly brings you
    off-policy RL training").
    """
    gap = torch.nan_to_num(old - drawn, nan=0.0)
    ratio = torch.zeros(rows, device=old.device).index_add_(0, row, gap).exp()
    return ratio.masked_fill(ratio > MOST, 0.0)


def _spread(values: Tensor, dim: int) -> Tensor:
    """Standard deviation (n - 1) over those that are numbers."""
    count = (~values.isnan()).sum(dim, keepdim=True)
    square = (values - values.nanmean(dim, keepdim=True)) ** 2
    return (square.nanmean(dim, keepdim=True) * count / (count - 1)).sqrt()
