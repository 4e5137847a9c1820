"""From a request to its answer: the body is read, decoded, predicted and answered in its protocol."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from taxiway.serving.findings import Finding
from taxiway.serving.limits import Limits, read_body
from taxiway.serving.outbox import Outbox
from taxiway.serving.predictor import INLINE_BYTES, Predictor
from taxiway.serving.protocols import JSON, Answer, Question, RequestHeaders, Served, media
from taxiway.serving.routes import Call, Handler
from taxiway.serving.streaming import Lines

Decode = Callable[[Served, RequestHeaders, bytes], Question]

_MOST_FINDINGS = 10
_LONGEST_NAME = 50


class Exchange:
    """Answers requests for predictions.

    Parameters
    ----------
    predictor
        What predicts.
    served
        What the protocols may know of the Model.
    limits
        What one request may ask for.
    folder
        Where answers wait for clients that do not read them.
    """

    def __init__(self, predictor: Predictor, served: Served, limits: Limits, folder: Path) -> None:
        self._predictor = predictor
        self._served = served
        self._limits = limits
        self._folder = folder

    async def predict(self, call: Call) -> Answer:
        """Answer ``/predict``: JSON to JSON the short way."""
        headers = call.headers
        kind, accept = headers.get(b"content-type", JSON), headers.get(b"accept", b"*/*")
        if kind == JSON and accept in (b"*/*", JSON):
            body = await read_body(headers, call.receive, self._limits)
            return await self._predictor.answer_json(call.request, body)
        return await self._lines_or(call, media.predict)

    async def invocations(self, call: Call) -> Answer:
        """Answer ``/invocations``, for SageMaker and for MLflow."""
        return await self._lines_or(call, media.invocations)

    def ask(self, decode: Decode) -> Handler:
        """Give what answers a protocol that ``decode`` reads."""

        async def handle(call: Call) -> Answer:
            return await self._answer(call, decode)

        return handle

    async def _lines_or(self, call: Call, decode: Decode) -> Answer:
        if not media.streams(call.headers):
            return await self._answer(call, decode)

        async def begin() -> None:
            headers = [(b"content-type", media.LINES), (b"x-request-id", call.request.encode("ascii"))]
            await call.send({"type": "http.response.start", "status": 200, "headers": headers})

        lines = Lines(self._predictor, self._served.signature.names, call.request)
        await lines.answer(call.receive, self._limits, Outbox(call.send, self._folder), begin)
        return Answer(200, None)

    async def _answer(self, call: Call, decode: Decode) -> Answer:
        body = await read_body(call.headers, call.receive, self._limits)
        started = time.perf_counter()
        question: Question | None
        if len(body) <= INLINE_BYTES:
            question = decode(self._served, call.headers, body)
        elif (question := media.numbers(decode, self._served, call.headers, body)) is None:
            question = await self._predictor.aside(decode, self._served, call.headers, body)
        assert question is not None
        prediction = await self._predictor.predict(call.request, question.batch, started)
        answer = question.answer(prediction)
        if not prediction.findings or answer.told:
            return answer
        return answer._replace(headers=(*answer.headers, _told(prediction.findings)))


def _told(findings: list[Finding]) -> tuple[bytes, bytes]:
    """Give the header that tells what was let pass, for answers that have no place for it."""
    told = [
        {"kind": one["kind"], "column": one["column"][:_LONGEST_NAME]} for one in findings[:_MOST_FINDINGS]
    ]
    return b"x-taxiway-findings", json.dumps(told).encode("ascii")
