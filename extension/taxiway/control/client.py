"""Talking to an endpoint over HTTP: rows out, predictions in."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError, RequestError

if TYPE_CHECKING:
    import ssl
    from datetime import datetime
    from pathlib import Path

    import httpx
    import pandas as pd

TIMEOUT_SECONDS = 30.0


class EndpointClient:
    """A connection to one endpoint, kept open between requests.

    Parameters
    ----------
    url
        The endpoint's URL.
    token
        What it asks of its clients, if anything.
    uds
        The Unix socket on which it listens, if it does.
    certificate
        Its certificate, which is trusted beside the machine's authorities.
    transport
        What carries requests instead, where an endpoint is not asked over plain HTTP.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        uds: Path | None = None,
        certificate: Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx

        self.url = url
        if uds and transport is None:
            transport = httpx.HTTPTransport(uds=str(uds))
        self._http = httpx.Client(
            base_url="http://localhost" if uds else url,
            headers={"authorization": f"Bearer {token}"} if token else None,
            timeout=TIMEOUT_SECONDS,
            transport=transport,
            trust_env=False,
            verify=_trusting(certificate) if certificate else True,
        )
        weakref.finalize(self, self._http.close)

    def predict(
        self,
        rows: pd.DataFrame,
        *,
        ids: Sequence[str] | None = None,
        times: Iterable[Any] | None = None,
    ) -> pd.DataFrame:
        """Ask for predictions.

        Parameters
        ----------
        rows
            One row per prediction, shape (n, columns of the signature); more columns are reported, not used.
        ids
            n prediction ids; made by the endpoint if not given.
        times
            n times of the data itself (without a zone: UTC); the time of the request if not given.

        Returns
        -------
        pandas.DataFrame
            Shape (n, 1 + outputs), with ``id`` first and the index of ``rows``.

        Raises
        ------
        RequestError
            The endpoint refused the rows (``findings`` says where) or could not be reached.
        """
        import pandas as pd

        if not isinstance(rows, pd.DataFrame):
            raise InputError("predict needs a DataFrame.", hint="Give one row as DataFrame([{...}]).")
        body: dict[str, Any] = {"split": {"columns": list(rows.columns), "data": _values(rows)}}
        if ids is not None:
            body["ids"] = [str(value) for value in ids]
        if times is not None:
            try:
                body["times"] = [pd.Timestamp(value).isoformat() for value in times]
            except (TypeError, ValueError, OverflowError) as error:
                raise InputError(
                    f"A time cannot be read: {error}.", hint="Give datetimes, or texts in ISO 8601."
                ) from error
        answer = self._post("/predict", body)
        return pd.DataFrame(answer["predictions"], index=rows.index)

    def send_outcomes(
        self, ids: Sequence[str], outcomes: Sequence[Any], times: Sequence[datetime] | None = None
    ) -> int:
        """Send the truth for prediction ids, in one request; gives how many were accepted.

        Parameters
        ----------
        ids, outcomes
            One each.
        times
            When each came true; that of receipt if not given.
        """
        rows = [{"id": name, "outcome": _plain(value)} for name, value in zip(ids, outcomes, strict=True)]
        if times is not None:
            rows = [{**row, "time": time.isoformat()} for row, time in zip(rows, times, strict=True)]
        return int(self._post("/outcomes", {"outcomes": rows})["accepted"])

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        import httpx
        import orjson

        headers = {"content-type": "application/json"}
        try:
            response = self._http.post(path, content=orjson.dumps(body), headers=headers)
        except httpx.HTTPError as error:
            raise RequestError(
                f"The endpoint at {self.url} does not answer: {type(error).__name__}.",
                hint="`taxiway agent start` brings endpoints back; `taxiway endpoints list` shows them.",
            ) from error
        if response.is_error:
            raise _refusal(response)
        return response.json()


def _trusting(certificate: Path) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context()
    if certificate.is_file():  # else this is another machine than the one it lies on
        context.load_verify_locations(certificate)
    return context


def _refusal(response: httpx.Response) -> RequestError:
    try:
        answer = response.json()
    except ValueError:
        answer = {"error": response.text[:200]}
    error = RequestError(
        f"The endpoint answered {response.status_code}: {answer.get('error', '')}",
        hint=answer.get("hint", ""),
    )
    error.status = response.status_code
    error.findings = answer.get("findings", [])
    return error


def _values(rows: pd.DataFrame) -> list[list[Any]]:
    columns = [[_plain(value) for value in rows.iloc[:, place].tolist()] for place in range(rows.shape[1])]
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in range(len(rows))]


def _plain(value: Any) -> Any:
    """Turn a cell into what JSON can hold; every kind of missing value is null."""
    import pandas as pd

    if value is None or isinstance(value, str | bool | int):
        return value
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if hasattr(value, "item"):
        return value.item()
    return value if isinstance(value, float) else str(value)
