"""A folder at a URI: what can be asked of it, on local files and on S3, and URIs that are refused."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlpersona.errors import ConfigError, StorageError
from rlpersona.storage import Place, open_place
from rlpersona.storage.places import bare
from tests.s3_server import requests_seen, s3_server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        with s3_server() as where:
            yield where


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "file":
        return open_place(f"file://{tmp_path}/runs")
    endpoint = request.getfixturevalue("endpoint")
    return open_place(f"s3://bucket/{tmp_path.name}?scheme=http&endpoint_override={endpoint}")


def test_what_is_written_is_listed_read_and_deleted(place: Place, tmp_path: Path) -> None:
    assert place.files() == {}
    assert place.folders() == []
    assert place.read("a.json") is None
    place.write("a.json", b"{}")
    place.write("deep/er/b.txt", "ä b".encode())
    assert {name: one.size for name, one in place.files().items()} == {"a.json": 2, "deep/er/b.txt": 4}
    assert set(place.files(deep=False)) == {"a.json"}
    assert place.folders() == ["deep"]
    assert place.inside("deep").inside("er").read("b.txt") == "ä b".encode()
    place.write("a.json", b"[1]")
    place.fetch("a.json", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == b"[1]"
    place.delete("a.json")
    place.delete("a.json")
    assert place.read("a.json") is None


def test_a_long_file_goes_in_pieces_and_beats(place: Place, tmp_path: Path) -> None:
    content = bytes(range(256)) * (20 * 2**12)  # 20 MiB: several chunks here, several parts on S3
    (tmp_path / "long").write_bytes(content)
    beats: list[int] = []
    place.write("long", tmp_path / "long", lambda: beats.append(1))
    assert len(beats) == 3  # chunks
    place.fetch("long", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_a_small_object_takes_one_request(endpoint: str) -> None:
    place = open_place(f"s3://once/x?scheme=http&endpoint_override={endpoint}")
    place.write("small", b"content")
    seen = {word: n for word, n in requests_seen(endpoint).items() if word.endswith("once/x/small")}
    assert seen == {"PUT once/x/small": 1}


def test_a_long_object_is_sent_while_it_is_read(tmp_path: Path, endpoint: str) -> None:
    """So that a beat says that something arrives, and memory holds a part and no more."""
    assert endpoint, "for its credentials"
    (tmp_path / "long").write_bytes(bytes(32 * 2**20))
    with s3_server(slow=0.3) as slow:
        place, beats = open_place(f"s3://b/x?scheme=http&endpoint_override={slow}"), list[float]()
        place.write("long", tmp_path / "long", lambda: beats.append(time.monotonic()))
    assert len(beats) == 4
    assert beats[-1] - beats[0] >= 3 * 0.3


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "a/../../../evil"])
def test_an_object_that_leads_out_of_its_folder_is_refused(endpoint: str, name: str) -> None:
    """pyarrow's client writes none, others do."""
    signed = {"Authorization": "AWS4-HMAC-SHA256"}
    line = http.client.HTTPConnection(endpoint, timeout=10)
    line.request("PUT", f"/trap/{len(name)}/{name}", b"evil", signed)
    assert line.getresponse().status == 200
    line.close()
    where = f"s3://trap/{len(name)}?scheme=http&endpoint_override={endpoint}"
    with pytest.raises(StorageError, match="outside of its folder"):
        open_place(where).files()


def test_a_fetch_that_fails_leaves_nothing(place: Place, tmp_path: Path) -> None:
    with pytest.raises((StorageError, FileNotFoundError)):
        place.fetch("nobody", tmp_path / "target")
    assert not [path for path in tmp_path.iterdir() if path.name != "runs"]


def test_storage_that_refuses_says_what_to_check(endpoint: str) -> None:
    uri = f"s3://bucket/x?scheme=http&anonymous=true&endpoint_override={endpoint}"
    with pytest.raises(StorageError, match=r"s3://bucket/x: .*ACCESS_DENIED") as caught:
        open_place(uri).files()
    assert "credentials" in caught.value.hint


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://name:hidden-part@bucket/x", "holds a key"),
        ("s3://hidden-part@bucket/x", "holds a key"),
        ("s3://bucket/x?secret_key=hidden-part", "option 'secret_key'"),
        ("s3://bucket/x?access_key=hidden-part", "option 'access_key'"),
        ("file:///x?region=hidden-part", "option 'region'"),
        ("http://host/x", "kind 'http'"),
        ("ftp://host/x", "kind 'ftp'"),
        ("s3://", "no place"),
        ("s3:///", "no place"),
        ("file://folder/x", "no place"),
        ("s3://bucket/../other", "upwards"),
        ("s3://bucket/x#part", "option '#'"),
        ("gs://bucket/a b", "no URI"),
    ],
)
def test_places_that_cannot_be(uri: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        open_place(uri)
    assert caught.value.hint
    assert "hidden-part" not in f"{caught.value} {caught.value.hint}"


def test_no_error_shows_what_may_be_a_key() -> None:
    assert bare("s3://id:secret@bucket/x?secret_key=secret") == "s3://...@bucket/x"
