"""The package of a job: what is in it, how large it may be, the same bytes for the same files."""

from __future__ import annotations

import os
import random
import zipfile
from pathlib import Path

import pytest

from rlpersona.errors import ConfigError
from rlpersona.runtime import upload


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.txt", "b/__pycache__/c.pyc", ".hidden/d"):
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(name)
    first = upload.pack(tmp_path / "1.zip", upload.files_below(tmp_path / "code", "x"), {"N": "1"})
    os.utime(tmp_path / "code" / "a.py", (0, 0))
    (tmp_path / "code" / "a.py").chmod(0o600)
    again = upload.pack(tmp_path / "2.zip", upload.files_below(tmp_path / "code", "x"), {"N": "1"})
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert first == again == (tmp_path / "1.zip").stat().st_size
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert archive.namelist() == ["x/a.py", "x/b/c.txt", "N"]
        assert archive.read("x/b/c.txt") == b"b/c.txt"


def test_a_package_that_is_too_large_names_its_largest_files(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    for name, size in (("weights.bin", upload.LIMIT), ("small.py", 10), ("log", 5 * 10**5)):
        (tmp_path / "code" / name).write_bytes(random.Random(name).randbytes(size))
    with pytest.raises(ConfigError) as caught:
        upload.pack(tmp_path / "x.zip", upload.files_below(tmp_path / "code", "x"))
    assert "Largest: x/weights.bin (10.0), x/log (0.5)" in caught.value.message
    assert not (tmp_path / "x.zip").exists()
