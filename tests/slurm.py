"""A real Slurm of one node on 127.0.0.1: munged, slurmctld and slurmd, with all their files in a folder.

Debian: `apt-get install slurm-wlm munge`. The daemons are started by the tests, as this user, and end
with them; nothing of the system's own Slurm is used.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.heads import BIN, free_port
from tests.processes import send, tree
from tests.support import ROOT, wait_until

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo")
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))

CONF = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=30
MinJobAge=600
PreemptMode=REQUEUE
PreemptType=preempt/partition_prio
SchedulerParameters=sched_interval=2,requeue_delay=0
FirstJobId={first}
NodeName=here NodeHostname={host} NodeAddr=127.0.0.1 Port={node} CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=here Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """The programs of Slurm that are not on this machine."""
    return ", ".join(name for name in NEEDED if shutil.which(name, path=PLACES) is None)


@dataclass(frozen=True)
class Slurm:
    """A running Slurm; `environment` makes its commands talk to it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = os.environ.items()
        clean = {name: value for name, value in kept if not name.startswith(("RAY_", "SLURM"))}
        path = f"{BIN}{os.pathsep}{PLACES}"
        return {**clean, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def run(self, *words: str, **more: str) -> str:
        """What a command of Slurm prints; AssertionError with its error where it fails."""
        done = subprocess.run(
            words,
            env={**self.environment, **more},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """What Slurm says of a job."""
        words = self.run("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def logs(self) -> str:
        return "\n".join(
            f"--- {file.name}\n{file.read_text()[-3000:]}" for file in self.folder.glob("*.log")
        )


@contextmanager
def running_slurm(folder: Path, cpus: int = 2) -> Iterator[Slurm]:
    """Slurm for the length of the block; `folder` has a short path, for a socket lies in it."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)  # munge wants no folder that others may write
    host = socket.gethostname().partition(".")[0]
    ports = {"controller": free_port(), "node": free_port()}
    slurm = Slurm(folder)
    first = secrets.randbelow(1900) + 1  # the script names folders and ports by a job's number
    told = CONF.format(folder=folder, host=host, user=getpass.getuser(), cpus=cpus, first=first, **ports)
    (folder / "slurm.conf").write_text(told)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(64))
    key.chmod(0o400)
    munged = ["munged", "--foreground", f"--socket={folder}/munge.socket", f"--key-file={key}"]
    munged += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log"]
    munged += [f"--seed-file={folder}/munged.seed", "--force"]
    processes: list[psutil.Popen] = []

    def begin(*words: str) -> None:
        with (folder / f"{words[0]}.out.log").open("w") as out:
            processes.append(
                psutil.Popen(words, env=slurm.environment, stdout=out, stderr=subprocess.STDOUT)
            )

    def idle() -> bool:
        assert all(one.poll() is None for one in processes), slurm.logs()
        with suppress(AssertionError):
            return slurm.run("sinfo", "--noheader", "--format=%T") == "idle"
        return False

    try:
        begin(*munged)
        wait_until((folder / "munge.socket").exists, 30)
        begin("slurmctld", "-D")
        begin("slurmd", "-D", "-N", "here")
        wait_until(idle, 60)
        yield slurm
    finally:
        for process in reversed(processes):
            parts = tree(process)
            send([process], signal.SIGTERM)
            _, alive = psutil.wait_procs(parts, timeout=10)
            send(alive, signal.SIGKILL)
