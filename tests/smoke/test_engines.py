"""The same experiment on either engine: same questions, same answers, same winners."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.support import rlpersona


def test_vllm_replicas_give_the_events_of_hf_replicas(tmp_path: Path) -> None:
    settings = ["quickstart", "rounds=4", "validation.questions=40", "--runs", str(tmp_path)]
    tables = {}
    for engine in ("hf", "vllm"):
        done = rlpersona("bandit", *settings, f"model.engine={engine}", f"name={engine}")
        assert done.returncode == 0, done.stderr
        tables[engine] = [
            pd.read_parquet(tmp_path / engine / f"{table}.parquet") for table in ("events", "validation")
        ]
    for ours, theirs in zip(tables["vllm"], tables["hf"], strict=True):
        pd.testing.assert_frame_equal(ours, theirs)
