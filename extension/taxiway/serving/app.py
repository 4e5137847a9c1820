"""The ASGI application of one Model: routing, limits, and the way of a prediction.

Written by hand, because a framework's share of a one-row request is larger than the model's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import orjson

from taxiway.serving.admission import METHODS, Admission
from taxiway.serving.asgi import Headers, Receive, Scope, Send
from taxiway.serving.findings import Finding
from taxiway.serving.identifiers import prediction_ids, request_id
from taxiway.serving.limits import Limits, read_body
from taxiway.serving.metrics import CONTENT_TYPE, Metrics
from taxiway.serving.mirror import Mirror
from taxiway.serving.openapi import describe_api
from taxiway.serving.outcomes import parse_outcomes
from taxiway.serving.problems import Problem
from taxiway.serving.requests import Batch, batch_of, load_json
from taxiway.serving.runtime import Runtime
from taxiway.serving.single import SingleRow
from taxiway.serving.spool import BUDGET_BYTES, SpoolWriter
from taxiway.serving.validation import Validator, Verdict

Role = Literal["live", "shadow"]

_log = logging.getLogger(__name__)

JSON = b"application/json"
INLINE_MILLISECONDS = 5.0


def create_app(
    model_dir: str | Path,
    spool_dir: str | Path,
    role: Role = "live",
    policies: dict[str, str] | None = None,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    threads: int = 1,
    spool_budget: int = BUDGET_BYTES,
) -> App:
    """Load a Model, check that it answers its own sample, and give the ASGI callable.

    Parameters
    ----------
    model_dir
        The Model's folder.
    spool_dir
        Where the prediction log is written.
    role
        ``live``, or ``shadow`` for one that only watches.
    policies
        Finding kind → ``reject``, ``warn`` or ``ignore``; kinds not named keep the default.
    limits
        What one request may ask for.
    token
        The bearer token that requests must carry, if any.
    threads
        Threads within one prediction.
    spool_budget
        The most bytes that the spool may take.

    Raises
    ------
    ModelError
        The Model cannot be loaded or does not answer its own sample.
    ValueError
        A policy that there is not.
    """
    runtime = Runtime(Path(model_dir), threads=threads)
    runtime.self_check()
    spool = SpoolWriter(Path(spool_dir), role, budget_bytes=spool_budget)
    return App(runtime, spool, role, policies, limits or Limits(), token)


class App:
    """The ASGI callable. Use ``create_app``."""

    def __init__(
        self,
        runtime: Runtime,
        spool: SpoolWriter,
        role: Role,
        policies: dict[str, str] | None,
        limits: Limits,
        token: str | None,
    ) -> None:
        self.runtime = runtime
        self.spool = spool
        self.role: Role = role
        self.limits = limits
        self.draining = False
        self.metrics = Metrics(runtime.tag, role, runtime.signature.names)
        self.mirror = Mirror(self.metrics.mirrored)
        self._validator = Validator(runtime.signature, runtime.bounds, runtime.holds_null, policies)
        self._names = runtime.signature.names
        self._single = SingleRow(self._validator.columns, runtime.feeds)
        self._admission = Admission(token, limits.concurrency)
        self._inline_rows = int(INLINE_MILLISECONDS / max(runtime.milliseconds_a_row, 1e-6))
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="predict")
        self._in_progress = 0

    def close(self) -> None:
        """Close the spool's segment and end the threads."""
        self.spool.close()
        self._pool.shutdown(wait=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request = request_id(headers.get(b"x-request-id"))
        extra: Headers = []
        content_type = JSON
        self._in_progress += 1
        try:
            client = scope.get("client")
            self._admission.admit(
                path, scope["method"], headers, self._in_progress, client[0] if client else None
            )
            if path == "/predict":
                status, body = await self._predict(request, await read_body(headers, receive, self.limits))
            elif path == "/outcomes":
                status, body = self._outcomes(await read_body(headers, receive, self.limits))
            elif path == "/metrics":
                status, body, content_type = 200, self._exposition(), CONTENT_TYPE
            elif path == "/schema":
                runtime = self.runtime
                status, body = (
                    200,
                    orjson.dumps(describe_api(runtime.manifest, runtime.signature, runtime.sample)),
                )
            else:
                status, body = self._health(path)
        except Problem as problem:
            status, body = problem.status, orjson.dumps({"error": problem.error, "hint": problem.hint})
            extra.extend(problem.headers)
        finally:
            self._in_progress -= 1
        self.metrics.requests[path if path in METHODS else "(other)", status] += 1
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", content_type),
                    (b"content-length", b"%d" % len(body)),
                    (b"x-request-id", request.encode("ascii")),
                    *extra,
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _predict(self, request: str, body: bytes) -> tuple[int, bytes]:
        started = time.perf_counter()
        now = time.time()
        data = load_json(body)
        row = self._single.read(data) if self._inline_rows else None
        if row is not None:
            outputs = self._attempt(self.runtime.run, self._single.tensors(row))
            inputs = {name: [value] for name, value in zip(self._names, row, strict=True)}
            return self._answer(request, body, started, now, Batch(inputs, 1), outputs, [])
        batch = batch_of(data, self._names, max_rows=self.limits.rows)
        verdict = self._validator.check(batch)
        for one in verdict.findings:
            self.metrics.find(one["kind"], one["column"])
        if verdict.rejected:
            return self._reject(request, now, batch, verdict)
        if batch.rows <= self._inline_rows:
            outputs = self._attempt(self.runtime.predict, batch.columns, verdict.block)
        else:
            loop = asyncio.get_running_loop()
            outputs = await loop.run_in_executor(
                self._pool, self._attempt, self.runtime.predict, batch.columns, verdict.block
            )
        return self._answer(request, body, started, now, batch, outputs, verdict.findings)

    def _answer(
        self,
        request: str,
        body: bytes,
        started: float,
        now: float,
        batch: Batch,
        outputs: dict[str, list[Any]],
        findings: list[Finding],
    ) -> tuple[int, bytes]:
        """Write the prediction down, and give its answer."""
        ids = prediction_ids(request, batch.ids, batch.rows)
        tag = self.runtime.tag
        answer = {"request_id": request, "model": tag, "predictions": _by_row(ids, outputs)}
        if findings:
            answer["findings"] = findings
        response = orjson.dumps(answer)
        seconds = time.perf_counter() - started
        self.spool.append(
            {
                "kind": "prediction",
                "time": now,
                "times": batch.times,
                "model": tag,
                "role": self.role,
                "request": request,
                "ids": ids,
                "inputs": batch.columns,
                "outputs": outputs,
                "latency_ms": round(1e3 * seconds, 3),
                "findings": findings,
            }
        )
        self.metrics.time(seconds)
        self.metrics.rows += batch.rows
        if self.mirror.active:
            self.mirror.offer(request, body)
        return 200, response

    def _attempt(self, predict: Callable[..., dict[str, list[Any]]], *inputs: Any) -> dict[str, list[Any]]:
        try:
            return predict(*inputs)
        except Exception as error:
            # engines raise many unrelated classes; whatever it is, only this request fails.
            _log.exception("the model failed on a request")
            raise Problem(
                500, f"The model failed on this request: {error}.", hint="See the endpoint's log."
            ) from error

    def _reject(self, request: str, now: float, batch: Batch, verdict: Verdict) -> tuple[int, bytes]:
        self.spool.append(
            {
                "kind": "rejected",
                "time": now,
                "times": batch.times,
                "model": self.runtime.tag,
                "role": self.role,
                "request": request,
                "rows": batch.rows,
                "findings": verdict.findings,
            }
        )
        hint = "Nothing was predicted; mend the data, or see GET /schema for what is expected."
        return 422, orjson.dumps({"error": verdict.sentence(), "hint": hint, "findings": verdict.findings})

    def _outcomes(self, body: bytes) -> tuple[int, bytes]:
        record = parse_outcomes(body, max_rows=self.limits.rows)
        if not self.spool.append(record | {"time": time.time()}):
            raise Problem(
                503,
                "The outcomes could not be written down: the spool has no room.",
                hint="Free disk space or start the agent, and send them again.",
                headers=((b"retry-after", b"10"),),
            )
        count = len(record["ids"])
        self.metrics.outcomes += count
        return 202, orjson.dumps({"accepted": count})

    def _health(self, path: str) -> tuple[int, bytes]:
        if self.draining and path != "/healthz":
            raise Problem(
                503, "This process is draining.", hint="Connect again.", headers=((b"retry-after", b"1"),)
            )
        return 200, orjson.dumps({"status": "ok", "model": self.runtime.tag, "role": self.role})

    def _exposition(self) -> bytes:
        return self.metrics.render(
            spooled=self.spool.written, dropped=self.spool.dropped, ready=not self.draining
        )


def _by_row(ids: list[str], outputs: dict[str, list[Any]]) -> list[dict[str, Any]]:
    names = ("id", *outputs)
    return [dict(zip(names, row, strict=True)) for row in zip(ids, *outputs.values(), strict=True)]
