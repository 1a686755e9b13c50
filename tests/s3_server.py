"""A small S3 in a process of its own: what pyarrow's client asks of one, over HTTP on loopback.

    with s3_server(folder) as endpoint:
        "s3://bucket/prefix?scheme=http&endpoint_override=" + endpoint

Objects appear when a request ends, whole; multipart uploads when they are completed. Whoever comes
without a signature is refused. Requests are counted by method and key at `GET /_seen`.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from aiohttp import web

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


class Objects:
    """Keys (`bucket/path`) and what they hold."""

    def __init__(self, slow: float) -> None:
        self.slow = slow
        self.kept: dict[str, tuple[bytes, float]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.numbers = itertools.count()
        self.seen: Counter[str] = Counter()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key, query = request.path.strip("/"), request.query
        if key == "_seen":
            return web.json_response(self.seen)
        self.seen[f"{request.method} {key}"] += 1
        if not request.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256"):
            return fault(403, "AccessDenied")
        bucket, _, path = key.partition("/")
        match request.method:
            case "POST" if "delete" in query:
                answer = await self.delete_many(request, bucket)
            case "POST":
                answer = await self.multipart(request, key)
            case "PUT":
                answer = await self.put(request, key)
            case "DELETE":
                self.kept.pop(key, None)
                answer = web.Response(status=204)
            case "HEAD" if not path:
                answer = web.Response()
            case _ if not path:
                answer = self.listing(bucket, query.get("prefix", ""), query.get("delimiter", ""))
            case _:
                answer = self.get(request, request.path.lstrip("/"))
        return answer

    def get(self, request: web.Request, key: str) -> web.Response:
        if key not in self.kept:
            return web.Response(status=404) if request.method == "HEAD" else fault(404, "NoSuchKey")
        body, when = self.kept[key]
        said = {
            "ETag": f'"{hashlib.md5(body).hexdigest()}"',
            "Last-Modified": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(when)),
            "Accept-Ranges": "bytes",
        }
        if request.method == "HEAD":
            return web.Response(headers={**said, "Content-Length": str(len(body))})
        span = request.headers.get("Range")
        if span:
            first, _, last = span.removeprefix("bytes=").partition("-")
            end = min(int(last or len(body) - 1), len(body) - 1)
            said["Content-Range"] = f"bytes {first}-{end}/{len(body)}"
            return web.Response(status=206, body=body[int(first) : end + 1], headers=said)
        return web.Response(body=body, headers=said)

    async def put(self, request: web.Request, key: str) -> web.Response:
        body = await content(request)
        tag = {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}
        if "partNumber" in request.query:
            await asyncio.sleep(self.slow)
            self.parts[request.query["uploadId"]][int(request.query["partNumber"])] = body
        else:
            self.kept[key + "/" * request.path.endswith("/")] = (body, time.time())
        return web.Response(headers=tag)

    async def multipart(self, request: web.Request, key: str) -> web.Response:
        if "uploads" in request.query:
            name = f"upload{next(self.numbers)}"
            self.parts[name] = {}
            return xml(f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId>", "Initiate")
        parts = self.parts.pop(request.query["uploadId"])
        body = b"".join(parts[number] for number in sorted(parts))
        self.kept[key] = (body, time.time())
        tag = f"<ETag>{hashlib.md5(body).hexdigest()}</ETag>"
        return xml(f"<CompleteMultipartUploadResult><Key>{escape(key)}</Key>{tag}", "Complete")

    async def delete_many(self, request: web.Request, bucket: str) -> web.Response:
        text = (await content(request)).decode()
        for piece in text.split("<Key>")[1:]:
            self.kept.pop(f"{bucket}/{piece.partition('</Key>')[0]}", None)
        return xml("<DeleteResult>", "Delete")

    def listing(self, bucket: str, prefix: str, delimiter: str) -> web.Response:
        rows, folders = [], set()
        for key, (body, when) in sorted(self.kept.items()):
            here, _, path = key.partition("/")
            if here != bucket or not path.startswith(prefix):
                continue
            rest = path[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(when))
            rows.append(
                f"<Contents><Key>{escape(path)}</Key><LastModified>{stamp}</LastModified>"
                f"<Size>{len(body)}</Size><ETag>x</ETag></Contents>"
            )
        common = [f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders]
        count = f"<KeyCount>{len(rows) + len(common)}</KeyCount><IsTruncated>false</IsTruncated>"
        return xml(f"<ListBucketResult>{count}{''.join(rows)}{''.join(common)}", "List")


async def content(request: web.Request) -> bytes:
    """The body, out of the signed chunks in which it may come."""
    body = await request.read()
    if "aws-chunked" not in request.headers.get("Content-Encoding", ""):
        return body
    found, at = b"", 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].split(b";")[0], 16)
        if size == 0:
            return found
        found += body[end + 2 : end + 2 + size]
        at = end + 2 + size + 2


def xml(text: str, ending: str) -> web.Response:
    opened = text[1 : text.index(">")]
    assert opened.startswith(ending)
    return web.Response(text=f"{HEAD}{text}</{opened}>", content_type="application/xml")


def fault(status: int, code: str) -> web.Response:
    text = f"{HEAD}<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")


@contextmanager
def s3_server(slow: float = 0) -> Iterator[str]:
    """`127.0.0.1:PORT` of a server that is up; a part of a long object takes `slow` seconds."""
    command = [sys.executable, str(Path(__file__).resolve()), str(slow)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def requests_seen(endpoint: str) -> Counter[str]:
    """How often each `METHOD key` was asked for."""
    with urllib.request.urlopen(f"http://{endpoint}/_seen", timeout=10) as answer:
        return Counter(json.load(answer))


async def serve(slow: float) -> None:
    """Serve until standard input ends; the port is the first line on standard output."""
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", Objects(slow).answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
