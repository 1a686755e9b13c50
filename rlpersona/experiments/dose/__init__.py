"""GRPO under a reward, swept over doses and read out."""
