"""How far a policy is from where it began, token by token. Imports torch: import it in functions."""

from __future__ import annotations

import torch


def k3(log_ratio: torch.Tensor) -> torch.Tensor:
    """exp(x) - x - 1 for x = log p_ref - log p: an unbiased, never negative estimate of KL(p, p_ref) in
    nats, for tokens drawn from p (Schulman 2020, "Approximating KL divergence"; GRPO's equation 4)."""
    return log_ratio.exp() - log_ratio - 1
