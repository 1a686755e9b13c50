from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from rlpersona.models.sampler import draw, stream_seed, uniforms
from rlpersona.types import Sampling

LOGITS = torch.tensor([[0.5, -1.0, 2.0, 0.0, -30.0]])


def many(temperature: float, top_p: float, n: int = 20_000) -> np.ndarray:
    uniform = torch.from_numpy(np.random.default_rng(0).random(n))
    tokens, _ = draw(LOGITS.expand(n, -1), temperature, top_p, uniform)
    return np.bincount(tokens.numpy(), minlength=5)


def test_frequencies_match_the_softmax() -> None:
    for temperature in (1.0, 2.0):
        counts = many(temperature, 1.0)
        expected = (LOGITS[0, :4].double() / temperature).softmax(0).numpy() * counts.sum()
        assert counts[4] == 0
        assert stats.chisquare(counts[:4], expected).pvalue > 1e-3


def test_top_p_keeps_the_smallest_set_that_holds_it() -> None:
    # Probabilities .71 (token 2), .16 (0), .10 (3), .04 (1): .8 needs the first two.
    counts = many(1.0, 0.8)
    assert set(np.flatnonzero(counts)) == {0, 2}
    p = LOGITS[0, [0, 2]].double().softmax(0).numpy()
    assert stats.chisquare(counts[[0, 2]], p * counts.sum()).pvalue > 1e-3
    assert set(np.flatnonzero(many(1.0, 0.01))) == {2}


def test_greedy_takes_the_top_and_logprobs_are_at_temperature_one() -> None:
    tokens, logprobs = draw(LOGITS, 0.0, 1.0, None)
    assert tokens.tolist() == [2]
    assert abs(float(logprobs) - float(LOGITS.log_softmax(-1)[0, 2])) < 1e-6
    tokens, logprobs = draw(LOGITS, 5.0, 0.5, torch.tensor([0.9], dtype=torch.float64))
    assert abs(float(logprobs) - float(LOGITS.log_softmax(-1)[0, int(tokens)])) < 1e-6


def test_a_uniform_at_either_end_draws_a_possible_token() -> None:
    ends = torch.tensor([0.0, 1.0 - 2**-53], dtype=torch.float64)
    logits = torch.tensor([[-200.0, 1.0, 1.0, -200.0]]).expand(2, -1)
    assert draw(logits, 1.0, 1.0, ends)[0].tolist() == [1, 2]


def test_streams_depend_on_seed_and_place_alone() -> None:
    whole = Sampling(max_tokens=5, seed=3)
    part = Sampling(max_tokens=5, seed=3, offset=7)
    assert (uniforms(whole, 9) == uniforms(part, 2)).all()
    assert (uniforms(whole, 9)[:3] == uniforms(Sampling(max_tokens=3, seed=3), 9)).all()
    seeds = {stream_seed(seed, index) for seed in range(50) for index in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)
