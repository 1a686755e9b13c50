"""Jobs of a Ray cluster, from the outside: submit a package, follow its log, stop it.

A job's driver runs on the cluster, so it goes on when the process here ends. The list of jobs is kept in
the memory of the head: after its restart a cluster knows none of them, and what must last is in the
folder of the run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rlpersona.errors import ConfigError, RunError, ServeError, did_you_mean, first_line
from rlpersona.runtime.session import knock, token_path

PATIENCE = 300.0  # seconds that a cluster may be out of reach while its log is followed
CHECK, RENEW = 15.0, 20  # seconds of silence before a look at the job; looks before the line is renewed
STARTING = 60.0  # seconds that a head may take until it accepts jobs
STOPPING = 60  # seconds that a job has to end by itself
# As Ctrl-C does on a laptop: the command says how the run goes on and leaves the cluster in order.
STOP_VARIABLES = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": str(STOPPING)}
VARIABLE = "RAY_API_SERVER_ADDRESS"
OVER = {"SUCCEEDED", "FAILED", "STOPPED"}


@dataclass(frozen=True)
class Job:
    """A job as the cluster tells it. `about` is what its submitter noted; times are Unix seconds."""

    id: str
    status: str
    command: str
    about: dict[str, str]
    started: float | None = None
    exit_code: int | None = None
    message: str = ""

    @property
    def over(self) -> bool:
        """Whether it will not change any more."""
        return self.status in OVER


class Cluster:
    """The job server of a cluster, at `http://HEAD:8265` or the `HEAD:6379` that `ray start` prints.

    Without an address the one in RAY_API_SERVER_ADDRESS or RAY_ADDRESS. A token is sent where one is
    found: RAY_AUTH_TOKEN_PATH, RAY_AUTH_TOKEN or ~/.ray/auth_token.

    Raises:
        ServeError: no address, nobody there, a token that is missing or wrong, another version of Ray.
    """

    def __init__(self, address: str | None = None) -> None:
        named = os.environ.get(VARIABLE) or os.environ.get("RAY_ADDRESS")
        if not (address := address or named):
            raise ServeError(
                "Which cluster?", "Name its dashboard: --address http://HEAD:8265, or set RAY_ADDRESS."
            )
        self.address = address
        if token_present():
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        self._client = _asked(address, lambda: _client(address))
        self.version = str(self._client._server_ray_version)
        _compare(self.version)

    def submit(
        self,
        words: Sequence[str],
        package: Path,
        variables: Mapping[str, str],
        about: Mapping[str, str],
        job: str,
    ) -> None:
        """Start `words` in the unpacked `package` under the id `job`; waits for a head that is starting.

        `variables` and `about` can be read by everybody who reaches the dashboard.

        Raises:
            ConfigError: there is a job of this id.
            ServeError: the cluster refuses, or has no agent that starts jobs.
        """
        environment = {"working_dir": str(package), "env_vars": {**STOP_VARIABLES, **variables}}
        end, again = time.monotonic() + STARTING, False
        while True:
            try:
                self._client.submit_job(
                    entrypoint=shlex.join(words),
                    runtime_env=environment,
                    metadata=dict(about),
                    submission_id=job,
                )
            except (RuntimeError, OSError) as error:
                if "already exists" in str(error):
                    if again:  # it was taken, and only the answer was lost
                        return
                    hint = "Another id: --id ID. Leave it out for one that is not taken."
                    raise ConfigError(f"There is a job '{job}'.", hint) from error
                if "agent" not in str(error) or time.monotonic() > end:
                    hint = f"Its log says more; the dashboard: {self.address}"
                    raise ServeError(
                        f"The cluster did not take the job: {first_line(error)}", hint
                    ) from error
                again = True
                time.sleep(1)
            else:
                return

    def jobs(self) -> list[Job]:
        """All submitted jobs, the latest first."""
        listed = _asked(self.address, self._client.list_jobs)
        found = [_read(details) for details in listed if details.submission_id]
        return sorted(found, key=lambda job: -(job.started or 0))

    def job(self, id: str) -> Job:
        """One job. RunError: the cluster does not know it."""
        try:
            return _read(_asked(self.address, lambda: self._client.get_job_info(id)))
        except ServeError as error:
            if "does not exist" in error.message:
                raise RunError(
                    f"The cluster at {self.address} knows no job '{id}'.",
                    "A restarted head forgets its jobs; the run goes on with `rlpersona resume` where "
                    "its folder is seen, else with `rlpersona submit ... --resume`.",
                ) from error
            raise

    def find(self, name: str) -> Job:
        """The job of this id, or the latest one of the run of this name. RunError: neither."""
        jobs = self.jobs()
        for job in jobs:
            if name in (job.id, job.about.get("run")):
                return job
        known = {job.id for job in jobs} | {job.about["run"] for job in jobs if job.about.get("run")}
        raise RunError(
            f"The cluster at {self.address} knows no job or run '{name}'.", did_you_mean(name, known)
        )

    def log(self, id: str) -> str:
        """What a job printed so far."""
        return str(_asked(self.address, lambda: self._client.get_job_logs(id)))

    def follow(
        self,
        id: str,
        write: Callable[[str], None],
        note: Callable[[str], None],
        patience: float = PATIENCE,
    ) -> Job:
        """Hand what a job prints to `write` until it is over, each character once; the job then.

        A lost line is taken up again where it broke off; `note` is told once.

        Raises:
            ServeError: the cluster was out of reach for `patience` seconds.
            RunError: the cluster does not know the job.
        """
        from aiohttp import ClientError

        log, lost = _Log(write), 0.0
        while True:
            try:
                asyncio.run(self._tail(id, log))
                if (job := self.job(id)).over:
                    with suppress(ServeError):  # the log is on the driver's node, which may be gone
                        log.take(self.log(id), 0)
                    return job
                lost = 0.0
            except (ServeError, ClientError, RuntimeError, OSError) as error:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > patience:
                    raise ServeError(
                        f"The cluster at {self.address} is out of reach: {first_line(error)}",
                        f"The job goes on if the cluster does: rlpersona logs {id} -f",
                    ) from error
                if not log.told:
                    note(f"the line to {self.address} is lost, trying again")
                    log.told = True
            time.sleep(1)

    def stop(self, id: str) -> Job:
        """Ask a job to end, which it must within STOPPING seconds; the job when it is over."""
        _asked(self.address, lambda: self._client.stop_job(id))
        end = time.monotonic() + STOPPING + 30
        while not (job := self.job(id)).over and time.monotonic() < end:
            time.sleep(0.5)
        return job

    async def _tail(self, id: str, log: _Log) -> None:
        """Read the job's log from its beginning until the job is over or the line should be renewed."""
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        async def pump() -> None:
            try:
                async for piece in self._client.tail_job_logs(id):
                    pieces.put_nowait(piece)
            finally:
                pieces.put_nowait(None)

        at, silent = 0, 0
        reading = asyncio.create_task(pump())
        try:
            while silent < RENEW:  # a line that died without a word looks like silence
                try:
                    piece = await asyncio.wait_for(pieces.get(), CHECK)
                except TimeoutError:
                    silent += 1
                    if (await asyncio.to_thread(self.job, id)).over:
                        return
                    continue
                if piece is None:
                    await reading
                    return
                at, silent = log.take(piece, at), 0
        finally:
            reading.cancel()


class _Log:
    """Writes what was not written before; positions count characters from the log's beginning."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write, self.written, self.told = write, 0, False

    def take(self, piece: str, at: int) -> int:
        end = at + len(piece)
        if end > self.written:
            self.write(piece[max(0, self.written - at) :])
            self.written, self.told = end, False
        return end


def token_present() -> bool:
    """Whether Ray's client finds a token to send."""
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or token_path().is_file()


def _client(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    for name in ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they set it themselves when imported
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and address != "auto" and parts.scheme != "ray":
        knock(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    named = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = address  # Ray's client prefers it to the address that it is told
    try:
        return JobSubmissionClient()
    finally:
        os.environ.pop(VARIABLE)
        os.environ.update({VARIABLE: named} if named is not None else {})


def _asked(address: str, question: Callable[[], Any]) -> Any:
    """The answer of a cluster; ServeError that says what to do where there is none."""
    from ray.exceptions import AuthenticationError

    try:
        return question()
    except AuthenticationError as error:
        wrong = "failed" in first_line(error)
        raise ServeError(
            f"The cluster at {address} {'refuses the token' if wrong else 'wants a token'}.",
            "Copy its token file (~/.ray/auth_token on the head) here, mode 0600, and name it:"
            " RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=FILE",
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        if "does not exist" in str(error):
            raise ServeError(first_line(error)) from error
        raise ServeError(
            f"No Ray cluster answers at '{address}': {first_line(error)}",
            "Name its dashboard, as in http://HEAD:8265; through ssh: ssh -L 8265:localhost:8265 HEAD",
        ) from error


def _compare(theirs: str) -> None:
    import ray

    if theirs.split(".")[:2] != ray.__version__.split(".")[:2]:
        raise ServeError(
            f"The cluster runs Ray {theirs}, and this package is made for {ray.__version__}.",
            f"Start the cluster from an image with ray=={ray.__version__}.",
        )


def _read(details: Any) -> Job:
    return Job(
        id=details.submission_id,
        status=str(details.status.value),
        command=details.entrypoint,
        about=dict(details.metadata or {}),
        started=details.start_time / 1000 if details.start_time else None,
        exit_code=details.driver_exit_code,
        message=details.message or "",
    )
