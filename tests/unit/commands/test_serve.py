"""What `rlpersona serve` shows when it is up."""

from __future__ import annotations

import subprocess
from pathlib import Path

from rlpersona.commands.serve import screen
from rlpersona.config import ModelConfig, ServeConfig


def test_the_line_to_paste_reads_the_token_whatever_its_file_is_called(tmp_path: Path) -> None:
    file = tmp_path / "o'neil's $HOME \"token\""
    file.write_text("a-token-of-twenty-letters\n")
    config = ServeConfig(model=ModelConfig(name="nano"), token_file=str(file))
    (line,) = [line for line in screen(config, ["base"]).splitlines() if line.startswith("curl ")]
    shown = subprocess.check_output(["sh", "-c", f"printf '%s\\n' {line}"], text=True)
    assert "authorization: Bearer a-token-of-twenty-letters" in shown.splitlines()
