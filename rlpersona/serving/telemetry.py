"""Counters of one process of the service, in Prometheus' text format."""

from __future__ import annotations

from rlpersona.serving.asgi import Event, Send
from rlpersona.serving.places import Places

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Watched:
    """A `send` that remembers the status of the response, 0 before there is one."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 0

    async def __call__(self, event: Event) -> None:
        """Send."""
        if event["type"] == "http.response.start":
            self.status = event["status"]
        await self._send(event)


class Telemetry:
    """What this process has answered. Each replica counts its own; Prometheus adds them up."""

    def __init__(self, places: Places) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rlpersona_serve_requests",
            "Requests by path and status.",
            ("path", "status"),
            registry=self._registry,
        )
        self._tokens = Counter(
            "rlpersona_serve_tokens", "Tokens by kind.", ("kind",), registry=self._registry
        )
        self._prompt, self._completion = (self._tokens.labels(k) for k in ("prompt", "completion"))
        self._seconds = Histogram(
            "rlpersona_serve_seconds",
            "Seconds from request to the end of its answer.",
            ("path",),
            buckets=SECONDS,
            registry=self._registry,
        )
        working = Gauge("rlpersona_serve_working", "Requests being answered.", registry=self._registry)
        working.set_function(lambda: places.working)
        waiting = Gauge("rlpersona_serve_waiting", "Requests in the queue.", registry=self._registry)
        waiting.set_function(lambda: places.waiting)

    def tokens(self, prompt: int, completion: int) -> None:
        """Count the tokens of one answer."""
        self._prompt.inc(prompt)
        self._completion.inc(completion)

    def done(self, path: str, status: int, seconds: float) -> None:
        """Count one request; status 0 is a client that went away before there was one."""
        self._requests.labels(path, str(status or 499)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> tuple[str, bytes]:
        """Content type and body of GET /metrics."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return CONTENT_TYPE_LATEST, generate_latest(self._registry)
