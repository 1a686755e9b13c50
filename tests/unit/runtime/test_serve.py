"""A service beside another one, without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from rlpersona.errors import ServeError
from rlpersona.runtime.serve import refuse_second


def cluster(monkeypatch: pytest.MonkeyPatch, **there: Any) -> None:
    """Ray Serve says that this is there."""
    from ray import serve
    from ray.serve.schema import ServeStatus

    monkeypatch.setattr(serve, "status", lambda: ServeStatus(**there))


@pytest.mark.parametrize(("apps", "told"), [(["rlpersona"], "with rlpersona"), ([], "with nothing yet")])
def test_a_cluster_that_serves_already_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, apps: list[str], told: str
) -> None:
    """Serve would keep the other's address, replace its app, and end with ours."""
    cluster(monkeypatch, proxies={"node": "HEALTHY"}, applications=dict.fromkeys(apps))
    with pytest.raises(ServeError, match=told) as caught:
        refuse_second()
    assert "serve shutdown" in caught.value.hint


def test_one_that_serves_nothing_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(monkeypatch)
    refuse_second()
