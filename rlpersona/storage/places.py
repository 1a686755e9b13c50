"""A folder at a URI, through pyarrow's filesystems: list, read, write whole, delete."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rlpersona.errors import ConfigError, StorageError, first_line

SCHEMES = ("s3", "gs", "file")
OPTIONS = ("region", "endpoint_override", "scheme", "anonymous")  # of the query; no key among them
CHUNK = 8 * 2**20  # bytes
Beat = Callable[[], None]


def is_uri(text: str) -> bool:
    """Whether `text` names a place on storage rather than a folder."""
    return "://" in text


def scratch() -> Path:
    """Where mirrors and fetched models lie: RLPERSONA_SCRATCH, or the user's cache folder."""
    chosen = os.environ.get("RLPERSONA_SCRATCH")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(chosen).expanduser() if chosen else cache / "rlpersona").absolute()


@dataclass(frozen=True)
class Entry:
    """What storage says of a file: bytes, and the time of writing in ns (S3 tells whole seconds)."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Place:
    """A folder at a URI. Operations raise StorageError where storage does not answer or refuses."""

    uri: str
    filesystem: Any
    path: str

    def inside(self, name: str) -> Place:
        """The folder `name` in this one."""
        scheme, _, rest = self.uri.partition("://")
        where, question, query = rest.partition("?")
        return Place(
            f"{scheme}://{where.rstrip('/')}/{name}{question}{query}",
            self.filesystem,
            f"{self.path}/{name}",
        )

    def files(self, *, deep: bool = True) -> dict[str, Entry]:
        """The files below, by their path from here; empty where there is nothing."""
        from pyarrow import fs

        chosen = fs.FileSelector(self.path, allow_not_found=True, recursive=deep)
        with told(self.uri):
            found = self.filesystem.get_file_info(chosen)
        start = len(self.path) + 1
        files = {
            info.path[start:]: Entry(info.size, info.mtime_ns or 0)
            for info in found
            if info.type == fs.FileType.File
        }
        for name in files:
            if name.startswith("/") or ".." in name.split("/"):
                raise StorageError(
                    f"{bare(self.uri)} holds the object '{name}', which would be a file outside of its"
                    " folder here.",
                    "Whoever can write there put it there: remove it.",
                )
        return files

    def folders(self) -> list[str]:
        """Names of the folders right below, in order."""
        from pyarrow import fs

        with told(self.uri):
            found = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)

    def read(self, name: str) -> bytes | None:
        """What a small file holds; None where it is not there."""
        try:
            with self.filesystem.open_input_stream(f"{self.path}/{name}") as stream:
                content: bytes = stream.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(self.uri, error) from error
        return content

    def fetch(self, name: str, target: Path, beat: Beat = lambda: None) -> None:
        """Copy a file here; `target` appears whole or not at all. `beat` as in `write`."""
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with (
                told(self.uri),
                self.filesystem.open_input_stream(f"{self.path}/{name}") as source,
                temporary.open("wb") as sink,
            ):
                while chunk := source.read(CHUNK):
                    sink.write(chunk)
                    beat()
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def write(self, name: str, content: bytes | Path, beat: Beat = lambda: None) -> None:
        """Write a file, whole or not at all; `beat` is called after each chunk and must not raise.

        An object appears when its stream is closed, and pyarrow closes it also where an error ended it.

        Raises:
            FileNotFoundError: `content` is a path at which there is nothing; nothing is written.
        """
        path, local = f"{self.path}/{name}", self.uri.startswith("file:")
        goal = f"{path}.{os.getpid()}.tmp" if local else path
        source = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
        with source, told(self.uri):
            if local:
                self.filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            with self.filesystem.open_output_stream(goal) as sink:
                while chunk := source.read(CHUNK):
                    sink.write(chunk)
                    beat()
            if local:
                self.filesystem.move(goal, path)

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            self.filesystem.delete_file(f"{self.path}/{name}")
        except FileNotFoundError:
            return
        except OSError as error:
            raise failure(self.uri, error) from error


@lru_cache(maxsize=64)
def open_place(uri: str) -> Place:
    """The folder at `uri`. Nothing is asked of it yet, except S3's region where none is given.

    Raises:
        ConfigError: the URI is none, holds a key, or has an option that is not known.
        StorageError: storage does not answer.
    """
    parts = urlsplit(uri)
    if parts.scheme not in SCHEMES:
        raise ConfigError(
            f"'{bare(uri)}': no storage of the kind '{parts.scheme}'.",
            "Give a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER.",
        )
    if parts.username or parts.password:
        raise ConfigError(
            f"'{bare(uri)}' holds a key.",
            "Leave it out: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (S3) and"
            " GOOGLE_APPLICATION_CREDENTIALS (GS) are read from the environment.",
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    odd = [name for name in options if name not in OPTIONS or parts.scheme == "file"]
    if odd or parts.fragment:
        raise ConfigError(
            f"'{bare(uri)}' has the option '{(odd or ['#'])[0]}'.", f"Known: {', '.join(OPTIONS)}."
        )
    if (parts.scheme == "file" and parts.netloc) or not (parts.netloc or parts.path.strip("/")):
        raise ConfigError(f"'{uri}' names no place.", "Write s3://BUCKET/PREFIX or file:///FOLDER.")
    if ".." in parts.path.split("/"):
        raise ConfigError(f"'{uri}' leads upwards.", "Write the path without '..'.")
    from pyarrow import fs

    try:
        if parts.scheme == "s3":
            return Place(uri, _s3(parts.netloc, options), f"{parts.netloc}{parts.path}".rstrip("/"))
        filesystem, path = fs.FileSystem.from_uri(uri)
    except ValueError as error:
        raise ConfigError(
            f"'{bare(uri)}' is no URI: {error}", "Write s3://BUCKET/PREFIX or file:///FOLDER."
        ) from error
    except OSError as error:
        raise failure(uri, error) from error
    return Place(uri, filesystem, path.rstrip("/"))


def _s3(bucket: str, options: Mapping[str, str]) -> Any:
    """pyarrow's client, told to send a small object in one request instead of three.

    A long one it would keep in memory until all of it is sent, however slow the line is.
    """
    from pyarrow import fs

    region = (
        options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    )
    known = {name: options[name] for name in ("scheme", "endpoint_override") if name in options}
    if not region and not known and not os.environ.get("AWS_ENDPOINT_URL"):
        region = fs.resolve_s3_region(bucket)
    anonymous = options.get("anonymous", "false").lower() in ("1", "true")
    return fs.S3FileSystem(
        region=region,
        anonymous=anonymous,
        allow_delayed_open=True,
        background_writes=False,
        **known,
    )


def bare(uri: str) -> str:
    """The URI without what may be a key."""
    return re.sub(r"://[^/@]*@", "://...@", uri.partition("?")[0])


@contextmanager
def told(uri: str) -> Iterator[None]:
    """What storage refuses, as one clear StorageError."""
    try:
        yield
    except OSError as error:
        raise failure(uri, error) from error


def failure(uri: str, error: Exception) -> StorageError:
    """What to say of storage that does not answer, or refuses."""
    return StorageError(
        f"{bare(uri)}: {first_line(error)}",
        "Check the bucket's name, its region (?region=...) and that the credentials in the environment"
        " may list, read, write and delete there.",
    )
