"""A local Ray for the tests of a file; it is gone before other tests start theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rlpersona.runtime.session import ray_session


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> Iterator[None]:
    with ray_session(cpus=2):
        yield
