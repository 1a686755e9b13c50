"""One finished quickstart run, made by the command that the README names."""

from __future__ import annotations

import pytest

from tests.support import Finished, rlpersona


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("work")
    done = rlpersona("bandit", "quickstart", cwd=folder)
    assert done.returncode == 0, done.stderr
    return Finished(folder / "runs" / "quickstart", done.stdout)
