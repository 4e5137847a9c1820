"""The way of a prediction, the same for every protocol: checked, predicted, written down, mirrored."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from taxiway.serving.batching import Batcher
from taxiway.serving.block import Tensor
from taxiway.serving.findings import Finding
from taxiway.serving.limits import Limits
from taxiway.serving.metrics import Metrics
from taxiway.serving.mirror import Mirror
from taxiway.serving.problems import Problem
from taxiway.serving.protocols import Answer, Outputs, Prediction, native
from taxiway.serving.requests import Batch, batch_of, body_of, load_json
from taxiway.serving.runtime import Columns, Runtime
from taxiway.serving.single import SingleRow
from taxiway.serving.spool import STAMP, SpoolWriter
from taxiway.serving.tracing import CURRENT
from taxiway.serving.tuning import MOST_SIDE_BY_SIDE
from taxiway.serving.validation import Validator, Verdict

INLINE_MILLISECONDS = 5.0
INLINE_BYTES = 64 * 2**10

_log = logging.getLogger(__name__)
_write_stamp = STAMP.pack


class Predictor:
    """Answers batches with one Model.

    Parameters
    ----------
    runtime
        The Model.
    spool
        Where predictions are written down before they are answered.
    role
        ``live`` or ``shadow``, as the log names it.
    metrics, mirror
        What counts, and what is shown to the shadow.
    policies
        Finding kind → ``reject``, ``warn`` or ``ignore``.
    limits
        What one request may ask for.
    """

    def __init__(
        self,
        runtime: Runtime,
        spool: SpoolWriter,
        role: str,
        metrics: Metrics,
        mirror: Mirror,
        policies: dict[str, str] | None,
        limits: Limits,
    ) -> None:
        self._runtime = runtime
        self._spool = spool
        self._role = role
        self._metrics = metrics
        self._mirror = mirror
        self._max_rows = limits.rows
        self._seconds = limits.predict_seconds
        self._names = runtime.signature.names
        self._validator = Validator(runtime.signature, runtime.bounds, runtime.holds_null, policies)
        self._single = SingleRow(self._validator.columns, runtime.feeds)
        self._run_row = self._single.runner(runtime)
        tag = orjson.dumps(runtime.tag)
        #: What is the same in the answers, and in the records, of all single rows.
        self._between = b',"model":%b,"predictions":[{"id":' % tag
        self._record = (
            b'{"kind":"prediction","times":null,"model":%b,"role":%b,"findings":[],"unnamed":1,"request":'
            % (tag, orjson.dumps(role))
        )
        self._inline_rows = int(INLINE_MILLISECONDS / max(runtime.milliseconds_a_row, 1e-6))
        self._pool = ThreadPoolExecutor(
            min(MOST_SIDE_BY_SIDE, os.cpu_count() or 1), thread_name_prefix="predict"
        )
        self._batcher: Batcher | None = None
        if runtime.batch_rows:
            self._inline_rows = 0
            self._batcher = Batcher(
                runtime.run,
                self.aside,
                rows=runtime.batch_rows,
                wait=runtime.batch_wait,
                counts=metrics.joined,
            )

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False)

    def answer_row(self, request: str, body: bytes) -> bytes | None:
        """Answer the JSON of one row of which there is nothing to say: the way that has to be short.

        None, and nothing has been done, where the body is anything else; ``answer_json`` finds what it is.

        Raises
        ------
        Problem
            500.
        """
        if not self._inline_rows:
            return None
        begun, started = time.time(), time.perf_counter()
        try:
            row = self._single.read(orjson.loads(body))
        except orjson.JSONDecodeError:
            return None
        if row is None:
            return None
        try:
            outputs = self._run_row(row)
        except Exception as error:
            # engines raise many unrelated classes; whatever it is, only this request fails.
            raise _failed(request, error) from error
        # Written once, for the client and for the log.
        name, given = orjson.dumps(request), orjson.dumps(outputs)
        seconds = time.perf_counter() - started
        self._write_row(begun, seconds, name, body, given)
        self._metrics.time(seconds)
        self._metrics.rows += 1
        if self._mirror.active:
            self._mirror.offer(request, body)
        return b"".join((b'{"request_id":', name, self._between, name, b",", given[1:], b"]}"))

    def _write_row(self, begun: float, seconds: float, name: bytes, row: bytes, given: bytes) -> None:
        """Write a single row down; its id, what was sent and what is answered are JSON already."""
        end = b"}\0"
        trace = CURRENT.get()[1]
        if trace is not None:
            end = b',"trace":%b}\0' % orjson.dumps(trace.trace)
        stamp = _write_stamp(begun, 1e3 * seconds)
        self._spool.write(b"".join((self._record, name, b',"row":', row, b',"answer":', given, end, stamp)))

    async def answer_json(self, request: str, body: bytes) -> Answer:
        """Answer a JSON body of ``/predict``.

        Raises
        ------
        Problem
            400, 413, 422 or 500.
        """
        started = time.perf_counter()
        if len(body) > INLINE_BYTES:
            batch = await self.aside(self._read, body)
        elif (answer := self.answer_row(request, body)) is not None:
            return Answer(200, answer, told=True)
        else:
            batch = self._read(body)
        return native.encode(self._runtime.tag, await self.predict(request, batch, started, body))

    async def predict(
        self,
        request: str,
        batch: Batch,
        started: float,
        body: bytes | None = None,
        *,
        verdict: Verdict | None = None,
    ) -> Prediction:
        """Check a batch and predict it.

        Parameters
        ----------
        request
            The request's id.
        batch
            Its rows; bad values that a policy lets pass are replaced in it.
        started
            When the body was there, by ``time.perf_counter``.
        body
            What to post to the shadow's ``/predict``; made from the batch where it is None.
        verdict
            What ``check`` said, if the batch was checked.

        Raises
        ------
        Problem
            422 where the data is refused, 500 where the model fails.
        """
        if body is None and self._mirror.active:
            body = body_of(batch)
        if verdict is None and batch.arrays is not None:
            verdict = self._validator.check_arrays(batch.arrays)
        verdict = verdict or self.check(batch)
        if verdict.rejected:
            raise self.reject(request, batch, verdict)
        for one in verdict.findings:
            self._metrics.find(one["kind"], one["column"])
        outputs = await self._attempt(request, batch, verdict)
        prediction = Prediction(request, batch.rows, outputs, ids=batch.ids, findings=verdict.findings)
        self._write_down(batch, prediction, started)
        if self._mirror.active and body is not None:
            self._mirror.offer(request, body)
        return prediction

    def _read(self, body: bytes) -> Batch:
        return batch_of(load_json(body), self._names, max_rows=self._max_rows)

    def check(self, batch: Batch) -> Verdict:
        """Check a batch against the signature, and count nothing yet."""
        return self._validator.check(batch)

    def reject(self, request: str, batch: Batch, verdict: Verdict) -> Problem:
        """Count and write down that a batch is refused, and give the problem to answer with."""
        for one in verdict.findings:
            self._metrics.find(one["kind"], one["column"])
        self._append(
            {
                "kind": "rejected",
                "time": time.time(),
                "times": batch.times,
                "model": self._runtime.tag,
                "role": self._role,
                "request": request,
                "rows": batch.rows,
                "findings": verdict.findings,
            }
        )
        return refusal(verdict.sentence(), verdict.findings)

    async def aside(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run what takes long in a thread, so that others are answered meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def _write_down(self, batch: Batch, prediction: Prediction, started: float) -> None:
        seconds = time.perf_counter() - started
        record: dict[str, Any] = {
            "kind": "prediction",
            "time": time.time() - seconds,
            "times": batch.times,
            "model": self._runtime.tag,
            "role": self._role,
            "request": prediction.request,
            "latency_ms": round(1e3 * seconds, 3),
            "findings": prediction.findings,
        }
        arrays: dict[str, Mapping[str, Tensor]] = {}
        if prediction.given is None:
            record["unnamed"] = batch.rows
        else:
            record["ids"] = prediction.given
        if batch.arrays is None:
            record["inputs"] = batch.columns
        else:
            arrays["inputs"] = batch.arrays
        if prediction.arrays is None:
            record["outputs"] = prediction.outputs
        else:
            arrays["outputs"] = prediction.arrays
        self._append(record, arrays)
        self._metrics.time(seconds)
        self._metrics.rows += batch.rows

    def _append(
        self, record: dict[str, Any], arrays: Mapping[str, Mapping[str, Tensor]] | None = None
    ) -> None:
        trace = CURRENT.get()[1]
        if trace is not None:
            record["trace"] = trace.trace
        self._spool.append(record, arrays)

    async def _attempt(self, request: str, batch: Batch, verdict: Verdict) -> Outputs:
        """Run the model: here if that is quick, else in a thread and only for so long."""
        columns: Columns = batch.columns if batch.arrays is None else batch.arrays
        inputs = (columns, verdict.block)
        predict = self._runtime.predict if batch.arrays is None else self._runtime.predict_arrays
        try:
            if batch.rows <= self._inline_rows:
                return predict(*inputs)
            async with asyncio.timeout(self._seconds):
                if self._batcher is not None and batch.rows <= self._batcher.rows:
                    return await self._batcher.run(self._runtime.tensors_of(*inputs), batch.rows)
                outputs: Outputs = await self.aside(predict, *inputs)
                return outputs
        except TimeoutError:
            raise Problem(
                503,
                f"The prediction did not end within {self._seconds:g} s.",
                hint="Send fewer rows in one request, or serve with a larger --predict-seconds.",
                headers=((b"retry-after", b"1"),),
            ) from None
        except Exception as error:
            # engines raise many unrelated classes; whatever it is, only this request fails.
            raise _failed(request, error) from error


def _failed(request: str, error: Exception) -> Problem:
    """Log that the model raised, as a line of that request, and give the problem to answer with."""
    _, trace = CURRENT.get()
    token = CURRENT.set((request, trace))
    _log.exception("the model failed on a request")
    CURRENT.reset(token)
    return Problem(500, f"The model failed on this request: {error}.", hint="See the endpoint's log.")


def refusal(sentence: str, findings: list[Finding]) -> Problem:
    """Give the problem of data that the signature does not allow."""
    hint = "Nothing was predicted; mend the data, or see GET /schema for what is expected."
    return Problem(422, sentence, hint=hint, findings=findings)
