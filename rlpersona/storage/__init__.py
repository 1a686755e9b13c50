"""Runs and models on object storage: `s3://bucket/prefix`, `gs://bucket/prefix`, `file:///folder`.

Work is done in a folder of this machine, the *mirror*; what it holds is copied to the URI while it
works, in the order in which it was written, so that another machine can go on from there. Credentials
come from where the provider's own tools look for them (environment, instance role), never from a URI.
"""

from __future__ import annotations

from rlpersona.storage.mirror import RECORD, Mirror
from rlpersona.storage.models import fetch_model
from rlpersona.storage.places import Place, is_uri, open_place, scratch
from rlpersona.storage.roots import local_root, names_at, uri_of

__all__ = [
    "RECORD",
    "Mirror",
    "Place",
    "fetch_model",
    "is_uri",
    "local_root",
    "names_at",
    "open_place",
    "scratch",
    "uri_of",
]
