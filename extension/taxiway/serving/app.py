"""The ASGI application of one Model: its routes.

Written by hand, because a framework's share of a one-row request is larger than the model's.
"""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import orjson

from taxiway.serving.admission import Admission, hash_token
from taxiway.serving.asgi import Headers, Receive, Scope, Send
from taxiway.serving.contract import check
from taxiway.serving.destination import COPY_OF
from taxiway.serving.docs import PAGE, origin, write_page
from taxiway.serving.exchange import Exchange
from taxiway.serving.identifiers import request_id
from taxiway.serving.limits import Limits, read_body
from taxiway.serving.metrics import CONTENT_TYPE, OTHER, Metrics
from taxiway.serving.mirror import Mirror
from taxiway.serving.openapi import describe_api
from taxiway.serving.outcomes import SHAPE, parse_outcomes
from taxiway.serving.predictor import Predictor
from taxiway.serving.problems import Problem
from taxiway.serving.protocols import JSON, Answer, Served, mlflow, openinference, tfserving
from taxiway.serving.requests import SHAPES
from taxiway.serving.routes import Call, Route, fixed
from taxiway.serving.runtime import Runtime
from taxiway.serving.shipping import read_shipped
from taxiway.serving.spool import BUDGET_BYTES, SEGMENT_BYTES, SpoolWriter
from taxiway.serving.telemetry import connect
from taxiway.serving.tracing import CURRENT, TRACEPARENT, read_trace
from taxiway.serving.tuning import Batching, tune

_log = logging.getLogger(__name__)

Role = Literal["live", "shadow"]

#: SageMaker's name of a request, which every variant that gets a copy of it is told.
INFERENCE_ID = b"x-amzn-sagemaker-inference-id"
#: Where a request's name is looked for, in this order.
_NAMES = (COPY_OF, b"x-request-id", INFERENCE_ID)
#: Headers that ask for more than ``answer_at_once`` knows.
_LONGER = frozenset((b"content-encoding", TRACEPARENT, COPY_OF))


def create_app(
    model_dir: str | Path,
    spool_dir: str | Path,
    role: Role = "live",
    policies: dict[str, str] | None = None,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    token_hash: str | None = None,
    anyone: bool = False,
    threads: int | None = None,
    device: str = "auto",
    batching: Batching | None = None,
    spool_budget: int = BUDGET_BYTES,
    spool_segment: int = SEGMENT_BYTES,
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
    token_hash
        Its hex SHA-256, for who does not know the token itself.
    anyone
        Without a token, answer other machines too: who may ask is decided before.
    threads
        Threads within one prediction; where None, a large model gets as many as it is faster with.
    device
        What the Model runs on: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``tensorrt`` or ``tensorrt:N``.
    batching
        How requests are run together; where None, the sample decides whether they are.
    spool_budget, spool_segment
        The most bytes that the spool may take, and one of its files.

    Raises
    ------
    ModelError
        The Model cannot be loaded, the device cannot run it, or it does not answer its own sample.
    ValueError
        A policy that there is not.
    """
    runtime = Runtime(Path(model_dir), threads=threads or 1, device=device)
    runtime.self_check()
    tune(runtime, threads, batching)
    contract = check(Path(model_dir))
    _log.log(
        logging.WARNING if contract.verdict == "differs" else logging.INFO, "%s: %s", runtime.tag, contract
    )
    spool = SpoolWriter(Path(spool_dir), role, budget_bytes=spool_budget, segment_bytes=spool_segment)
    if token is not None:
        token_hash = hash_token(token)
    return App(runtime, spool, role, policies, limits or Limits(), token_hash, anyone=anyone)


class App:
    """The ASGI callable. Use ``create_app``."""

    def __init__(
        self,
        runtime: Runtime,
        spool: SpoolWriter,
        role: Role,
        policies: dict[str, str] | None,
        limits: Limits,
        token_hash: str | None,
        *,
        anyone: bool = False,
    ) -> None:
        self.runtime = runtime
        self.spool = spool
        self.role: Role = role
        self.limits = limits
        self.draining = False
        self.metrics = Metrics(runtime.tag, role, runtime.signature.names)
        self.mirror = Mirror(self.metrics.mirrored)
        manifest = runtime.manifest
        self._served = Served(manifest["name"], manifest["version"], role, runtime.signature, limits.rows)
        self._predictor = Predictor(runtime, spool, role, self.metrics, self.mirror, policies, limits)
        self._admission = Admission(token_hash, limits.concurrency, anyone=anyone)
        self._telemetry = connect(manifest["name"], manifest["version"], role, self.metrics, spool)
        self._routes = {
            route.label.format(name=self._served.name, version=self._served.version, role=role): route
            for route in self._listed()
        }
        self._in_progress = 0
        self._defaults: Headers | None = None
        self._head = b""

    def close(self) -> None:
        """Close the spool's segment and end the threads."""
        self.spool.close()
        self._predictor.close()
        if self._telemetry is not None:
            self._telemetry.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request = request_id(next(filter(None, map(headers.get, _NAMES)), None))
        route = self._routes.get(path)
        trace = read_trace(scope["headers"]) if TRACEPARENT in headers else None
        call = Call(request, headers, scope, receive, send)
        if self._telemetry is None or route is None or route.open:
            CURRENT.set((request, trace))
            await self._respond(route, path, call)
            return
        with self._telemetry.report(scope["method"], route.label, request, trace) as report:
            CURRENT.set((request, report.trace))
            report.status = await self._respond(route, path, call)

    async def _respond(self, route: Route | None, path: str, call: Call) -> int:
        """Answer one request; give the status."""
        scope, send = call.scope, call.send
        self._in_progress += 1
        try:
            if route is None or scope["method"] != route.method:
                raise self._nowhere(path, route)
            if not route.open:
                client = scope.get("client")
                self._admission.admit(call.headers, self._in_progress, client[0] if client else None)
            answer = await route.handle(call)
        except Problem as problem:
            answer = _refuse(route, problem)
        finally:
            self._in_progress -= 1
        self.metrics.requests[route.label if route else OTHER, answer.status] += 1
        body = answer.body
        if body is None:
            return answer.status
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (b"content-type", answer.content_type),
                    (b"content-length", b"%d" % len(body)),
                    (b"x-request-id", call.request.encode("ascii")),
                    *answer.headers,
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})
        return answer.status

    def is_plain(self, headers: Headers, client: tuple[str, int] | None) -> bool:
        """Whether ``answer_at_once`` may be asked to answer a ``POST /predict``; always so for the same head.

        Parameters
        ----------
        headers
            The request's.
        client
            The address that the request came from; None for a Unix socket.
        """
        given = dict(headers)
        if (
            self._telemetry is not None
            or given.get(b"content-type", JSON) != JSON
            or given.get(b"accept", b"*/*") not in (b"*/*", JSON)
            or not _LONGER.isdisjoint(given)
        ):
            return False
        try:
            self._admission.identify(given, client[0] if client else None)
        except Problem:
            return False
        return True

    def hold(self) -> bool:
        """Count a request whose body is still to come as in progress, if there is room for it."""
        if not self._admission.has_room(self._in_progress + 1):
            return False
        self._in_progress += 1
        return True

    def release(self) -> None:
        """Count a request no longer that ``hold`` counted."""
        self._in_progress -= 1

    def answer_at_once(self, given: bytes | None, body: bytes, defaults: Headers) -> bytes | None:
        """Give the whole response to a plain ``POST /predict`` of one sound row, as ``Connection`` sends it.

        None, and nothing has been done, where there is more to it; calling the App gives the answer then.

        Parameters
        ----------
        given
            The request's ``X-Request-Id``.
        body
            The request's body.
        defaults
            The headers that every response of this server has; a new list whenever they change.
        """
        if (
            self.draining
            or len(body) > self.limits.body_bytes
            or not self._admission.has_room(self._in_progress + 1)
        ):
            return None
        request = request_id(given)
        try:
            answer = self._predictor.answer_row(request, body)
        except Problem as problem:
            return self._failure(request, problem, defaults)
        if answer is None:
            return None
        self.metrics.requests["/predict", 200] += 1
        if defaults is not self._defaults:
            self._defaults = defaults
            self._head = _head(HTTPStatus.OK, defaults)
        return _response(self._head, request, answer)

    def _failure(self, request: str, problem: Problem, defaults: Headers) -> bytes:
        answer = _refuse(self._routes["/predict"], problem)
        self.metrics.requests["/predict", answer.status] += 1
        head, body = _head(HTTPStatus(answer.status), defaults), answer.body or b""
        return _response(head, request, body)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _listed(self) -> list[Route]:
        """List the routes."""
        served = self._served
        exchange = Exchange(self._predictor, served, self.limits, self.spool.directory)
        ask = exchange.ask
        routes = [
            Route("POST", exchange.predict, "/predict", SHAPES),
            Route("POST", self._outcomes, "/outcomes", SHAPE),
            Route("POST", exchange.invocations, "/invocations", mlflow.HINT, mlflow.refuse),
            *(Route("GET", self._alive, path, open=True) for path in ("/healthz", "/livez")),
            *(Route("GET", self._ready, path, open=True) for path in ("/ping", "/health", "/readyz")),
            Route("GET", fixed(mlflow.version()), "/version"),
            Route("GET", self._exposition, "/metrics"),
            Route("GET", self._schema, "/schema"),
            Route("GET", self._docs, "/docs"),
            Route("GET", fixed(openinference.server(served)), "/v2"),
            Route("GET", self._alive, "/v2/health/live", open=True),
            Route("GET", self._ready, "/v2/health/ready", open=True),
        ]
        for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            routes += [
                Route("GET", fixed(openinference.metadata(served)), model),
                Route("GET", self._ready, f"{model}/ready"),
                Route("POST", ask(openinference.infer), f"{model}/infer", openinference.HINT),
            ]
        for version in ("", "/versions/{version}", "/labels/{role}"):
            model = f"/v1/models/{{name}}{version}"
            routes += [
                Route("GET", fixed(tfserving.status(served)), model),
                Route("GET", fixed(tfserving.metadata(served)), f"{model}/metadata"),
                Route("POST", ask(tfserving.predict), f"{model}:predict", tfserving.HINT),
                Route("POST", ask(tfserving.classify), f"{model}:classify", tfserving.EXAMPLES),
                Route("POST", ask(tfserving.regress), f"{model}:regress", tfserving.EXAMPLES),
            ]
        return routes

    def _nowhere(self, path: str, route: Route | None) -> Problem:
        if route is None:
            return Problem(
                404, "There is no such route.", hint=f"{self.runtime.tag} is served here; see GET /docs."
            )
        allow = (b"allow", route.method.encode())
        return Problem(
            405, f"{path} takes {route.method} only.", hint=f"Use {route.method}.", headers=(allow,)
        )

    async def _outcomes(self, call: Call) -> Answer:
        body = await read_body(call.headers, call.receive, self.limits)
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
        return Answer(202, orjson.dumps({"accepted": count}))

    async def _alive(self, _: Call) -> Answer:
        return Answer(200, self._state())

    async def _ready(self, _: Call) -> Answer:
        if self.draining:
            raise Problem(
                503, "This process is draining.", hint="Connect again.", headers=((b"retry-after", b"1"),)
            )
        return Answer(200, self._state())

    def _state(self) -> bytes:
        state = {"status": "ok", "model": self.runtime.tag, "role": self.role}
        # The Open Inference Protocol looks for these.
        return orjson.dumps(state | {"live": True, "ready": not self.draining, "name": self._served.name})

    async def _exposition(self, _: Call) -> Answer:
        spool = self.spool
        shipped = read_shipped(spool.directory)
        body = self.metrics.render(
            spooled=spool.written,
            dropped=spool.dropped,
            ready=not self.draining,
            shipped=None if shipped is None else shipped.counts(),
        )
        return Answer(200, body, CONTENT_TYPE)

    async def _schema(self, _: Call) -> Answer:
        return Answer(200, orjson.dumps(self._description()))

    async def _docs(self, call: Call) -> Answer:
        return Answer(200, write_page(self._description(), origin(call.scope, call.headers)), *PAGE)

    def _description(self) -> dict[str, Any]:
        return describe_api(self._served, self.runtime.manifest, self.runtime.sample["records"])


def _head(status: HTTPStatus, defaults: Headers) -> bytes:
    """Write a response's head up to its length."""
    lines = [b"%b: %b\r\n" % header for header in (*defaults, (b"content-type", JSON))]
    status_line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii")
    return b"%b%bcontent-length: " % (status_line, b"".join(lines))


def _response(head: bytes, request: str, body: bytes) -> bytes:
    length = b"%d\r\nx-request-id: " % len(body)
    return b"".join((head, length, request.encode("ascii"), b"\r\n\r\n", body))


def _refuse(route: Route | None, problem: Problem) -> Answer:
    """Write an error in the form of the protocol whose route it is."""
    if route is None:
        return Answer(problem.status, orjson.dumps(problem.document()), JSON, problem.headers)
    problem.hint = problem.hint or route.hint
    return Answer(problem.status, orjson.dumps(route.refuse(problem)), JSON, problem.headers)
