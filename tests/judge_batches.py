"""The judge server's batch endpoints: OpenAI files and batches, Anthropic message batches.

A batch ends `batch_seconds` after it was made; its rows meet the same faults as single calls (by HTTP
status, `filter`, `length`, ...), and the word `expired`. Results come in a shuffled order.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.judge_replies import FORMATS

Row = dict[str, Any]
QUEUE_FULL = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}


@dataclass
class Batch:
    """One batch of either provider: `rows` are (custom id, request body)."""

    id: str
    rows: list[tuple[str, Row]]
    made: float
    file: str = ""
    metadata: Mapping[str, str] | None = None
    endpoint: str = ""
    cancelled: bool = False
    results: list[Row] | None = None  # None until it has ended


@dataclass
class Batches:
    """All files and batches that the server holds."""

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    openai: dict[str, Batch] = field(default_factory=dict)
    anthropic: dict[str, Batch] = field(default_factory=dict)


def add_batch_routes(app: web.Application, state_key: Any, digest_of: Callable[[Row], str]) -> None:
    """Add the endpoints to the app."""
    service = Service(app[state_key], digest_of)
    for method, path, handler in (
        ("POST", "/v1/files", service.upload),
        ("GET", "/v1/files", service.list_files),
        ("GET", "/v1/files/{id}", service.get_file),
        ("DELETE", "/v1/files/{id}", service.delete_file),
        ("GET", "/v1/files/{id}/content", service.content),
        ("POST", "/v1/batches", service.make),
        ("GET", "/v1/batches", service.list_batches),
        ("GET", "/v1/batches/{id}", service.get),
        ("POST", "/v1/batches/{id}/cancel", service.cancel),
        ("POST", "/v1/messages/batches", service.make_messages),
        ("GET", "/v1/messages/batches", service.list_messages),
        ("GET", "/v1/messages/batches/{id}", service.get_messages),
        ("POST", "/v1/messages/batches/{id}/cancel", service.cancel_messages),
        ("GET", "/v1/messages/batches/{id}/results", service.results),
    ):
        app.router.add_route(method, path, handler)


class Service:
    """The handlers. The state (`tests.judge_server.State`) holds faults, counts and batches."""

    def __init__(self, state: Any, digest_of: Callable[[Row], str]) -> None:
        self.state, self.digest_of = state, digest_of

    # OpenAI: files

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        part = form["file"]
        assert isinstance(part, web.FileField)
        return web.json_response(
            self._file(part.file.read(), part.filename, str(form.get("purpose", "batch")))
        )

    async def list_files(self, request: web.Request) -> web.Response:
        known = [file["head"] for file in reversed(self.state.batches.files.values())]
        return page(request, known, "after")

    async def get_file(self, request: web.Request) -> web.Response:
        file = self.state.batches.files.get(request.match_info["id"])
        return web.json_response(file["head"]) if file else missing(request)

    async def delete_file(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        gone = self.state.batches.files.pop(name, None)
        body = {"id": name, "object": "file", "deleted": True}
        return web.json_response(body) if gone else missing(request)

    async def content(self, request: web.Request) -> web.Response:
        file = self.state.batches.files.get(request.match_info["id"])
        return web.Response(body=file["data"]) if file else missing(request)

    def _file(self, data: bytes, name: str, purpose: str) -> Row:
        files = self.state.batches.files
        head = {
            "id": f"file_{len(files) + 1:04d}",
            "object": "file",
            "bytes": len(data),
            "created_at": int(time.time()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        files[head["id"]] = {"head": head, "data": data}
        return head

    # OpenAI: batches

    async def make(self, request: web.Request) -> web.Response:
        body, batches = await request.json(), self.state.batches
        file = batches.files.get(body["input_file_id"])
        if file is None:
            return missing(request)
        rows = [json.loads(line) for line in file["data"].splitlines() if line.strip()]
        batch = Batch(
            id=f"batch_{len(batches.openai) + 1:04d}",
            rows=[(row["custom_id"], row["body"]) for row in rows],
            made=time.time(),
            file=body["input_file_id"],
            metadata=body.get("metadata"),
            endpoint=body["endpoint"],
        )
        batches.openai[batch.id] = batch
        self.state.stats.batches += 1
        return web.json_response(self._openai(batch))

    async def list_batches(self, request: web.Request) -> web.Response:
        known = reversed(self.state.batches.openai.values())
        return page(request, [self._openai(batch) for batch in known], "after")

    async def get(self, request: web.Request) -> web.Response:
        batch = self.state.batches.openai.get(request.match_info["id"])
        return web.json_response(self._openai(batch)) if batch else missing(request)

    async def cancel(self, request: web.Request) -> web.Response:
        batch = self.state.batches.openai.get(request.match_info["id"])
        if batch is None:
            return missing(request)
        batch.cancelled = True
        return web.json_response(self._openai(batch))

    def _openai(self, batch: Batch) -> Row:
        refused = len(batch.rows) > self.state.faults.batch_queue
        ended = not refused and self._run(batch, "/v1/chat/completions")
        status = "failed" if refused else "in_progress"
        if ended:
            status = "cancelled" if batch.cancelled else "completed"
            status = "expired" if self.state.faults.batch_expires else status
        good = [row for row in batch.results or [] if row["word"] == "ok"]
        bad = [row for row in batch.results or [] if row["word"] != "ok"]
        head = {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.endpoint,
            "input_file_id": batch.file,
            "completion_window": "24h",
            "status": status,
            "created_at": int(batch.made),
            "metadata": batch.metadata,
            "errors": {"object": "list", "data": [QUEUE_FULL]} if refused else None,
            "output_file_id": self._results_file(f"{batch.id}_output", good),
            "error_file_id": self._results_file(f"{batch.id}_error", bad),
            "request_counts": {"total": len(batch.rows), "completed": len(good), "failed": len(bad)},
        }
        return head

    def _results_file(self, name: str, rows: list[Row]) -> str | None:
        """The id of the file that holds the rows, made at the first asking."""
        if not rows:
            return None
        files = self.state.batches.files
        for known, file in files.items():
            if file["head"]["filename"] == name:
                return str(known)
        lines = [json.dumps(openai_row(row)) for row in rows]
        return str(self._file(("\n".join(lines) + "\n").encode(), name, "batch_output")["id"])

    # Anthropic: message batches

    async def make_messages(self, request: web.Request) -> web.Response:
        body, batches = await request.json(), self.state.batches
        batch = Batch(
            id=f"msgbatch_{len(batches.anthropic) + 1:04d}",
            rows=[(row["custom_id"], row["params"]) for row in body["requests"]],
            made=time.time(),
        )
        batches.anthropic[batch.id] = batch
        self.state.stats.batches += 1
        return web.json_response(self._anthropic(batch, request))

    async def list_messages(self, request: web.Request) -> web.Response:
        known = reversed(self.state.batches.anthropic.values())
        return page(request, [self._anthropic(batch, request) for batch in known], "after_id")

    async def get_messages(self, request: web.Request) -> web.Response:
        batch = self.state.batches.anthropic.get(request.match_info["id"])
        return web.json_response(self._anthropic(batch, request)) if batch else missing(request)

    async def cancel_messages(self, request: web.Request) -> web.Response:
        batch = self.state.batches.anthropic.get(request.match_info["id"])
        if batch is None:
            return missing(request)
        batch.cancelled = True
        return web.json_response(self._anthropic(batch, request))

    async def results(self, request: web.Request) -> web.Response:
        batch = self.state.batches.anthropic.get(request.match_info["id"])
        if batch is None or not self._run(batch, "/v1/messages"):
            return missing(request)
        lines = [json.dumps(anthropic_row(row)) + "\n" for row in batch.results or []]
        return web.Response(text="".join(lines), content_type="application/x-jsonl")

    def _anthropic(self, batch: Batch, request: web.Request) -> Row:
        ended = self._run(batch, "/v1/messages")
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        for row in batch.results or []:
            counts[anthropic_row(row)["result"]["type"]] += 1
        counts["processing"] = 0 if ended else len(batch.rows)
        link = f"{request.url.origin()}/v1/messages/batches/{batch.id}/results"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": when(batch.made),
            "expires_at": when(batch.made + 86400),
            "ended_at": when(time.time()) if ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": link if ended else None,
        }

    def _run(self, batch: Batch, path: str) -> bool:
        """Answer the rows once the time has come; True if the batch has ended."""
        state, kind = self.state, FORMATS[path]
        if batch.results is not None:
            return True
        if not batch.cancelled and time.time() < batch.made + state.faults.batch_seconds:
            return False
        batch.results = []
        for custom_id, body in batch.rows:
            word = state.fate(self.digest_of(body), json.dumps(body, ensure_ascii=False))
            word = "expired" if state.faults.batch_expires else word
            row: Row = {"custom_id": custom_id, "word": "cancelled" if batch.cancelled else word}
            if word in ("ok", "filter", "length", "empty", "wrong") and not batch.cancelled:
                row |= {"word": "ok", "status": 200, "body": state.answer(body, kind, word).body}
            elif word not in ("expired", "cancelled"):
                status, error = kind.special(word) or (
                    int(word) if word.isdigit() else 500,
                    kind.error(int(word) if word.isdigit() else 500, f"planted {word}"),
                )
                row |= {"status": status, "body": error}
            batch.results.append(row)
        random.Random(batch.id).shuffle(batch.results)
        return True


def openai_row(row: Row) -> Row:
    """A line of an output or error file."""
    head = {"id": f"batch_req_{row['custom_id']}", "custom_id": row["custom_id"]}
    if row["word"] in ("expired", "cancelled"):
        error = {"code": f"batch_{row['word']}", "message": "This request was not executed."}
        return {**head, "response": None, "error": error}
    response = {"status_code": row["status"], "request_id": "req_batch", "body": row["body"]}
    return {**head, "response": response, "error": None}


def anthropic_row(row: Row) -> Row:
    """A line of the results."""
    word = row["word"]
    if word == "ok":
        result = {"type": "succeeded", "message": row["body"]}
    elif word in ("expired", "cancelled"):
        result = {"type": "expired" if word == "expired" else "canceled"}
    else:
        result = {"type": "errored", "error": row["body"]}
    return {"custom_id": row["custom_id"], "result": result}


def page(request: web.Request, rows: list[Row], cursor: str) -> web.Response:
    """One page of a list, newest first."""
    limit, after = int(request.query.get("limit", 20)), request.query.get(cursor)
    if after is not None:
        ids = [row["id"] for row in rows]
        rows = rows[ids.index(after) + 1 :] if after in ids else []
    shown = rows[:limit]
    body = {"object": "list", "data": shown, "has_more": len(rows) > limit}
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {}
    return web.json_response({**body, "first_id": None, "last_id": None, **ends})


def missing(request: web.Request) -> web.Response:
    """404 for an unknown id."""
    kind = FORMATS["/v1/messages" if "/messages/" in request.path else "/v1/chat/completions"]
    return web.json_response(kind.error(404, f"no {request.path}"), status=404)


def when(seconds: float) -> str:
    """An RFC 3339 time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
