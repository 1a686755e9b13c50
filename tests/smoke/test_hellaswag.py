"""Real rows through the whole job: nano knows nothing of them, and the report says so."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import rlpersona


def test_no_persona_is_better_on_real_hellaswag(shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "hellaswag" / "hellaswag.json.gz"
    settings = [f"data={data}", "rounds=8", "validation.questions=100", "validation.random=3"]
    done = rlpersona("bandit", "hellaswag", *settings, "--runs", str(tmp_path))
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "hellaswag" / "summary.json").read_text())
    assert not summary["significant"]
    assert 0.1 < summary["control"]["estimate"] < 0.45, "near the 25 % of chance"
    assert summary["unscored_share"] == 0
    assert "No persona" in summary["verdict"]
    assert "No persona" in (tmp_path / "hellaswag" / "report.html").read_text()
