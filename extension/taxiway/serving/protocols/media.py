"""The types in which rows come and answers go: JSON, CSV, one JSON object a line, and Arrow streams."""

from __future__ import annotations

from collections.abc import Callable

from taxiway.serving.limits import refuse_encoded
from taxiway.serving.problems import Problem
from taxiway.serving.protocols import (
    JSON,
    Answer,
    Prediction,
    Question,
    RequestHeaders,
    Served,
    arrow,
    csv,
    mlflow,
    native,
    ndjson,
)
from taxiway.serving.protocols.instances import by_row
from taxiway.serving.requests import Batch, batch_of, load_json

CSV = b"text/csv"
LINES = b"application/x-ndjson"
ARROW = b"application/vnd.apache.arrow.stream"

#: What is meant by other names of the types, and by what a client says that does not care.
_SAME = {
    b"": JSON,
    JSON: JSON,
    b"text/json": JSON,
    b"application/x-www-form-urlencoded": JSON,
    CSV: CSV,
    b"application/csv": CSV,
    LINES: LINES,
    b"application/ndjson": LINES,
    b"application/jsonlines": LINES,
    b"application/x-jsonlines": LINES,
    b"application/jsonl": LINES,
    ARROW: ARROW,
}
_WILD = {b"application/*": JSON, b"text/*": CSV}
_NAMES = f"{JSON.decode()}, {CSV.decode()}, {LINES.decode()} and {ARROW.decode()}"
_CHARSETS = frozenset((b"utf-8", b"utf8", b"us-ascii"))
_MOST_ACCEPTED = 16


def given(headers: RequestHeaders) -> bytes:
    """Give the type of a request's body.

    Raises
    ------
    Problem
        415 where it is none that is read.
    """
    kind, parameters = _parsed(headers.get(b"content-type", b""))
    charset = parameters.get(b"charset", b"utf-8")
    if charset not in _CHARSETS:
        text = charset[:50].decode("latin-1")
        raise Problem(415, f"A body in the character set {text!r} is not read.", hint="Send it in UTF-8.")
    same = _SAME.get(kind)
    if same is None:
        text = kind[:100].decode("latin-1")
        raise Problem(415, f"A body of the type {text!r} is not read.", hint=f"Send one of {_NAMES}.")
    return same


def asked(headers: RequestHeaders, otherwise: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Give the type in which the answer is wanted, and that type's parameters.

    Parameters
    ----------
    otherwise
        The type for a client that does not care.

    Raises
    ------
    Problem
        406 where it wants none that is written.
    """
    accept = headers.get(b"accept", b"")
    if accept in (b"", b"*/*"):
        return otherwise, {}
    wanted = [_parsed(one) for one in accept.split(b",", _MOST_ACCEPTED)[:_MOST_ACCEPTED]]
    for kind, parameters in sorted(wanted, key=lambda one: -_quality(one[1])):
        if _quality(parameters) <= 0:
            continue
        same = otherwise if kind in (b"*/*", b"*") else _SAME.get(kind) or _WILD.get(kind)
        if same is not None:
            return same, parameters
    raise Problem(406, "None of the types in Accept is written.", hint=f"Ask for one of {_NAMES}.")


def predict(served: Served, headers: RequestHeaders, body: bytes) -> Question:
    """Read a body of ``/predict``, which is answered in JSON unless another type is asked for.

    Raises
    ------
    Problem
        400, 406, 413 or 415.
    """
    kind = given(headers)
    otherwise = LINES if kind == LINES else JSON
    return Question(_DECODERS[kind](served, body), encoder(served, *asked(headers, otherwise)))


def invocations(served: Served, headers: RequestHeaders, body: bytes) -> Question:
    """Read a body of ``/invocations``: MLflow's forms are told by their keys, the rest is SageMaker's.

    SageMaker's tables may lack a header, and are answered without one and in their own type unless
    ``Accept`` says otherwise (``header=present`` there asks for names).

    Raises
    ------
    Problem
        400, 406, 413 or 415.
    """
    kind = given(headers)
    if kind == JSON:
        data = load_json(body)
        if mlflow.is_spoken(data):
            return Question(mlflow.decode(served, data), mlflow.encode)
        if type(data) is list and data and type(data[0]) is not dict:
            batch = by_row(data, served)
        else:
            batch = batch_of(data, served.signature.names, max_rows=served.max_rows)
    elif kind == CSV:
        _, parameters = _parsed(headers[b"content-type"])
        header = {b"present": True, b"absent": False}.get(parameters.get(b"header", b""))
        batch = csv.decode(served, body, header=header)
    else:
        batch = _DECODERS[kind](served, body)
    wanted, parameters = asked(headers, kind)
    if wanted != CSV:
        return Question(batch, encoder(served, wanted, parameters))
    named = parameters.get(b"header") == b"present"
    return Question(
        batch, lambda prediction: Answer(200, csv.encode(prediction, header=named, ids=False), CSV)
    )


def numbers(
    decode: Callable[[Served, RequestHeaders, bytes], Question],
    served: Served,
    headers: RequestHeaders,
    body: bytes,
) -> Question | None:
    """Read what takes no time however long it is: a table of numbers as an Arrow stream, for such an answer.

    None where ``decode`` does not read that, or the body is something else.

    Raises
    ------
    Problem
        406, 413 or 415.
    """
    if decode not in (predict, invocations) or given(headers) != ARROW:
        return None
    wanted, parameters = asked(headers, JSON if decode is predict else ARROW)
    if wanted == CSV or (batch := arrow.decode_numbers(served, body)) is None:
        return None
    return Question(batch, encoder(served, wanted, parameters))


def streams(headers: RequestHeaders) -> bool:
    """Whether lines come and lines are wanted, so that they are answered while they come.

    Raises
    ------
    Problem
        406 or 415.
    """
    refuse_encoded(headers)
    return given(headers) == LINES and asked(headers, LINES)[0] == LINES


def encoder(served: Served, kind: bytes, parameters: dict[bytes, bytes]) -> Callable[[Prediction], Answer]:
    """Give the function that writes an answer in a type."""
    if kind == CSV:
        header = parameters.get(b"header") != b"absent"
        return lambda prediction: Answer(200, csv.encode(prediction, header=header), CSV)
    if kind == LINES:
        return lambda prediction: Answer(200, ndjson.encode(prediction), LINES, told=True)
    if kind == ARROW:
        return lambda prediction: Answer(200, arrow.encode(served, prediction), ARROW)
    return lambda prediction: native.encode(served.tag, prediction)


_DECODERS: dict[bytes, Callable[[Served, bytes], Batch]] = {
    JSON: native.decode,
    CSV: csv.decode,
    LINES: ndjson.decode,
    ARROW: arrow.decode,
}


def _parsed(value: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Take a media type and its parameters apart."""
    kind, *rest = value.split(b";")
    pairs = (one.partition(b"=") for one in rest)
    parameters = {name.strip().lower(): text.strip().strip(b'"').lower() for name, _, text in pairs}
    return kind.strip().lower(), parameters


def _quality(parameters: dict[bytes, bytes]) -> float:
    try:
        return float(parameters.get(b"q", b"1"))
    except ValueError:
        return 0.0
