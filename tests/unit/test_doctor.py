"""The doctor: sees what is there, and says what to do about what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlpersona import doctor
from rlpersona.models import nano


def test_this_machine_is_fit_and_nothing_is_left_behind(tmp_path: Path) -> None:
    findings = {finding.what: finding for finding in doctor.examine(tmp_path / "runs")}
    assert {"python", "cores", "memory", "runs", "gpus", "nano", "torch", "ray"} <= set(findings)
    assert all(finding.ok for finding in findings.values())
    assert not any(tmp_path.iterdir())


def test_every_lack_has_a_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nano, "path", lambda: tmp_path)
    monkeypatch.setattr(doctor, "MEMORY_GB", 10**6)
    monkeypatch.setattr(doctor, "DISK_GB", 10**9)
    lacking = {finding.what: finding for finding in doctor.examine(tmp_path) if not finding.ok}
    assert {"memory", "runs", "nano"} <= set(lacking)
    assert all(finding.fix for finding in lacking.values())
    assert lacking["nano"].fix == "rlpersona nano build"
