"""Run as a script in HAProxy's place: mends the config that Ray wrote for it, then becomes HAProxy.

    python haproxy.py HAPROXY IDLE_SECONDS -db -f CONFIG ...

Of the standard library alone, since it runs at every reload.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from pathlib import Path

SET_PARENT_DEATH_SIGNAL = 1  # of prctl, Linux


def mended(config: str, idle: int) -> str:
    """Ray's config for HAProxy, kept to the address of the service.

    Ray opens two pages of statistics on all interfaces, lets every user of the machine command HAProxy,
    logs to a syslog that need not be ours, and gives a client any time to send its request. What a
    client says of its own address is dropped, and its real one passed on.
    """
    for pattern, new in (
        (r"^frontend prometheus\n(?: .*\n)+", ""),
        (r"^listen stats\n(?: .*\n?)+", ""),
        (r"^ +log (?!global).*\n", ""),
        (r"mode 666 level admin", "mode 600 level admin"),
        (r"^( +)mode http\n", rf"\1mode http\n\1option forwardfor\n\1timeout http-request {idle}s\n"),
        (
            r"^(frontend http_frontend\n( +)bind .*\n)",
            r"\1\2http-request del-header x-forwarded-for\n",
        ),
    ):
        # Only the first: `mode http` stands in the defaults before it stands anywhere else.
        count = 1 if "mode http" in pattern else 0
        config = re.sub(pattern, new, config, count=count, flags=re.MULTILINE)
    return config


def main(words: list[str]) -> None:
    """Mend the file after `-f`, then run HAProxy, which ends when its parent does."""
    haproxy, idle, *arguments = words
    if "-f" in arguments:
        file = Path(arguments[arguments.index("-f") + 1])
        file.write_text(mended(file.read_text(encoding="utf-8"), int(idle)), encoding="utf-8")
    parent = os.getppid()
    # Ray's process for it may be killed, and HAProxy would hold the port for ever.
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit("the parent has gone")
    os.execv(haproxy, [haproxy, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
