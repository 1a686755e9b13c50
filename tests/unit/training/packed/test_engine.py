"""Completions by vLLM: each condition's own weights, as they are now."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rlpersona.errors import ConfigError
from rlpersona.training.packed.loss import MOST, correction
from rlpersona.training.packed.steps import drawn_measures
from tests.unit.training.packed.packs import a_pack, packed
from tests.unit.training.policies import grpo_job


def test_vllm_writes_with_the_newest_adapter_of_each_condition(tmp_path: Path) -> None:
    """Log-probabilities of the engine beside those of the stack, while both adapters move far."""
    pytest.importorskip("vllm", reason="vLLM is not installed")
    settings = {"rollouts": "vllm", "max_steps": 4, "learning_rate": 2e-2, "beta": 0.05}
    jobs = a_pack(tmp_path, (0, 0), readout={"held_out": 4, "watch_every": 2}, **settings)
    outcomes, rows = packed(jobs)
    assert all(isinstance(one, dict) for one in outcomes)
    for log in rows:
        assert [row["step"] for row in log] == [0, 1, 2, 3, 4]
        assert log[-1]["kl"] > 0.005, "the adapter has moved"
        for row in log[1:]:
            assert row["sampling/sampling_logp_difference/max"] < 1e-3
            assert row["sampling/importance_sampling_ratio/mean"] == pytest.approx(1, abs=1e-2)
    assert rows[0][1]["length"] == rows[1][1]["length"], "one seed, no update yet"
    assert rows[0][-1]["length"] != rows[1][-1]["length"]


def test_what_was_drawn_by_other_weights_counts_by_its_odds() -> None:
    old = torch.log(torch.tensor([0.5, 0.5, 0.4, 0.9, 0.2]))
    drawn = torch.log(torch.tensor([0.25, 0.5, 0.1, 0.9, 0.4]))
    drawn[3] = torch.nan  # the engine could not say
    found = correction(old, drawn, torch.tensor([0, 0, 1, 2, 2]), 3)
    torch.testing.assert_close(found, torch.tensor([2.0, 0.0, 0.5]))
    assert MOST < 4


def test_an_engine_that_cannot_say_anything_is_no_error() -> None:
    """As where a condition has diverged: its loss parks it."""
    found = drawn_measures(torch.full((3,), torch.nan), torch.ones(2))
    assert found["sampling/sampling_logp_difference/max"] == 0
    assert found["sampling/importance_sampling_ratio/mean"] == 1


def test_a_server_for_one_training_is_refused(tmp_path: Path) -> None:
    served = {"rollouts": "vllm", "vllm_mode": "server", "vllm_server": "http://127.0.0.1:8000"}
    with pytest.raises(ConfigError, match="vllm_mode=server"):
        packed([grpo_job(tmp_path, **served)])
