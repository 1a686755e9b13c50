"""`metrics.jsonl` of one training: every step once, also where the training was killed and resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlpersona.store import METRICS, Run


class StepLog:
    """Appends the rows of a training (`step` and what was measured); call it as `on_step`.

    A training that resumes begins again after its last checkpoint: what was logged from that step on is
    dropped when its first row comes.
    """

    def __init__(self, folder: Path) -> None:
        self._run = Run(folder)
        self._began = False

    def __call__(self, row: Mapping[str, Any]) -> None:
        """Add a row."""
        if not self._began:
            kept = [old for old in self._run.metrics() if old["step"] < row["step"]]
            self._run.write_text(METRICS, "".join(json.dumps(old) + "\n" for old in kept))
            self._began = True
        self._run.append_metrics(row)
