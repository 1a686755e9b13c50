"""Ray clusters of real processes on loopback: a head started by `ray start`, more raylets beside it.

Each node has an address of its own, as machines have: 127.0.0.2 the head, then 127.0.0.3 and so on.
(Ray puts the outer address in the place of 127.0.0.1.) The dashboard is at 127.0.0.1.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.processes import send, tree
from tests.support import wait_until

BIN = Path(sys.executable).parent
RAY = str(BIN / "ray")
HEAD_IP = "127.0.0.2"
TOKEN = "0123456789abcdef0123456789abcdef"
STARTS = 3
DRAWN = random.SystemRandom()  # two processes with one seed would draw the same
PATIENCE = 300  # seconds; a start takes eight on an idle machine


@dataclass
class Node:
    """A raylet beside the head: `ray start --block` and every process below it."""

    process: psutil.Popen
    ip: str
    folder: Path  # its temporary folder; log files are in session_latest/logs
    agent: int  # the port of its dashboard agent, which is up last
    log: Path

    def wait(self) -> None:
        """Until its agent answers; AssertionError with its log where it ends before."""
        wait_until(lambda: self.over() or reachable(self.agent, self.ip), PATIENCE)
        assert not self.over(), self.log.read_text()

    def over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def kill(self) -> None:
        """SIGKILL for the raylet and all that runs on it, as when a machine is lost."""
        send(tree(self.process), signal.SIGKILL)
        self.process.wait(PATIENCE)

    def close(self) -> None:
        """End what is left, politely first, and remove its files."""
        parts = tree(self.process)
        send(parts, signal.SIGTERM)
        _, alive = psutil.wait_procs(parts, timeout=5)
        send(alive, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=5)
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Head:
    """A Ray head with ports, temporary folder and token of its own; clusters never meet.

    `environment` is for a client process (`ray job ...`, `rlpersona ... --address`): the token and the
    dashboard's address. `driver` is for one that joins the cluster: it has RAY_ADDRESS as well.
    """

    token: Path
    cpus: int = 2
    port: int = 0
    dashboard: int = 0
    nodes: list[Node] = field(default_factory=list)
    main: Node | None = None

    def __post_init__(self) -> None:
        self.port, self.dashboard = self.port or free_port(), self.dashboard or free_port()
        self.token.write_text(TOKEN)
        self.token.chmod(0o600)

    @property
    def address(self) -> str:
        """The dashboard and its job server, `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.dashboard}"

    @property
    def gcs(self) -> str:
        """What `ray.init(address=...)` takes."""
        return f"{HEAD_IP}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a client, free of what other tests told their own Ray."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)}
        path = {"PATH": f"{BIN}{os.pathsep}{clean.get('PATH', '')}"}
        return {**clean, **path, **own, "RAY_API_SERVER_ADDRESS": self.address}

    @property
    def driver(self) -> dict[str, str]:
        """The environment of a process that joins the cluster."""
        return {**self.environment, "RAY_ADDRESS": self.gcs}

    def start(self) -> None:
        """Start the head, the first time or after `kill`: GCS is in memory, so it knows nothing then."""
        for attempt in range(STARTS):
            client = free_port()
            words = ["--head", f"--port={self.port}", f"--dashboard-port={self.dashboard}"]
            words += ["--dashboard-host=127.0.0.1", f"--ray-client-server-port={client}"]
            self.main = self._begin(words, HEAD_IP, self.cpus)
            if self._is_up(self.main, client):
                return
            # On a busy machine the parts of a head give up on each other after 30 s.
            self.main.close()
            assert attempt < STARTS - 1, self.main.log.read_text()

    restart = start

    def add_node(self, cpus: int = 1, resources: str = "{}") -> Node:
        """A further raylet on this cluster, as another machine would be."""
        words = [f"--address={self.gcs}", f"--resources={resources}"]
        node = self._begin(words, f"127.0.0.{3 + len(self.nodes)}", cpus)
        self.nodes.append(node)
        node.wait()
        return node

    def kill(self) -> None:
        """SIGKILL for GCS, raylet, dashboard and all that runs on the head."""
        assert self.main is not None
        self.main.kill()

    def close(self) -> None:
        """End every process of the cluster."""
        for node in [*self.nodes, *([self.main] if self.main else [])]:
            node.close()

    def _is_up(self, node: Node, client: int) -> bool:
        """Wait until all parts of the head answer; False where it ended before."""
        ports = ((node.agent, HEAD_IP), (self.dashboard, "127.0.0.1"), (client, HEAD_IP))
        wait_until(lambda: node.over() or all(reachable(*port) for port in ports), PATIENCE)
        return not node.over()

    def _begin(self, words: list[str], ip: str, cpus: int) -> Node:
        agent = free_port()
        # Sockets live in there, and their paths may have 107 bytes.
        folder = Path(tempfile.mkdtemp(prefix="ray"))
        log = self.token.with_name(f"{folder.name}.log")
        command = [RAY, "start", "--block", f"--node-ip-address={ip}", f"--num-cpus={cpus}", *words]
        command += [f"--temp-dir={folder}", "--disable-usage-stats", "--num-gpus=0"]
        # The default is taken where another Ray runs, and without its agent a head takes no jobs.
        command += [f"--dashboard-agent-listen-port={agent}"]
        # The default range begins where other clusters on this machine have theirs.
        command += ["--min-worker-port=0", "--max-worker-port=0"]
        command += [f"--object-store-memory={100 * 2**20}"]
        with log.open("w") as out:
            process = psutil.Popen(command, env=self.environment, stdout=out, stderr=subprocess.STDOUT)
        return Node(process, ip, folder, agent, log)


@contextmanager
def running_head(folder: Path, cpus: int = 2) -> Iterator[Head]:
    """A head for the length of the block; `folder` takes its token and logs."""
    head = Head(folder / "token", cpus)
    try:
        head.start()
        yield head
    finally:
        head.close()


def free_port() -> int:
    """A port of loopback that nobody listens at, below those that the system hands out by itself."""
    while True:
        port = DRAWN.randint(20000, 29999)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if not any(reachable(port, ip) for ip in ("127.0.0.1", HEAD_IP)):
            return port


def reachable(port: int, ip: str = "127.0.0.1") -> bool:
    """Whether somebody listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex((ip, port)) == 0
