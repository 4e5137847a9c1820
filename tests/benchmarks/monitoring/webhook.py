"""An added column in live traffic, until its alert is at a webhook: real processes, real defaults."""

from __future__ import annotations

import json
import time
import urllib.request

import taxiway
from taxiway.control import agent_process, sinks
from taxiway.control.ledger import ledger
from tests.control.receivers import Receiver
from tests.monitoring.weather import of_year, seattle

MOST_SECONDS = 60.0


def seconds_to_webhook() -> tuple[float, float]:
    """Package, deploy, add a sink, send rows with a column more; give the seconds to the delivery.

    Returns
    -------
    tuple
        Of the first rows that there ever are, for which the monitor has to start; and then, with another
        column, while it runs.
    """
    from sklearn.linear_model import LinearRegression

    year = of_year(seattle(), 2012)
    inputs = year[["temp_min", "wind", "precipitation"]]
    model = taxiway.package(
        LinearRegression().fit(inputs, year["temp_max"]),
        name="warmth",
        reference=inputs,
        target=year["temp_max"],
        replay=False,
        progress=lambda line: None,
    )
    receiver = Receiver()
    try:
        endpoint = taxiway.deploy(model, endpoint="warmth")
        definition = {"kind": "webhook", "url": f"http://127.0.0.1:{receiver.server.server_address[1]}/"}
        sinks.add(ledger(), "bench", definition, by="bench")
        rows = inputs.head(50).to_dict("records")
        first = _delivered(receiver, endpoint.url, rows, "humidity")
        return first, _delivered(receiver, endpoint.url, rows, "pressure")
    finally:
        taxiway.endpoint("warmth").delete()
        agent_process.stop()
        receiver.close()


def _delivered(receiver: Receiver, url: str, rows: list[dict[str, float]], column: str) -> float:
    begun = time.monotonic()
    _post(f"{url}/predict", [{**row, column: 0.5} for row in rows])
    while time.monotonic() - begun < MOST_SECONDS:
        for one in receiver.received:
            if column in one.body.decode():
                return one.at - begun
        time.sleep(0.02)
    return float("inf")


def _post(url: str, rows: list[dict[str, float]]) -> None:
    body = json.dumps(rows).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()
