"""The demo's clients: days sent in date order, also while the endpoint switches Models."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taxiway.demo.weather import FEATURES, TARGET
from taxiway.errors import RequestError

if TYPE_CHECKING:
    import httpx
    import pandas as pd

    from taxiway.control.endpoint import Endpoint

CLIENTS = 4
PAUSE_SECONDS = 0.02


def replay(endpoint: Endpoint, days: pd.DataFrame) -> None:
    """Ask for each day's prediction, in date order, and then tell how the days turned out."""
    for place in range(len(days)):
        day = days.iloc[[place]]
        endpoint.predict(day[FEATURES], ids=prediction_ids(day), times=day["date"])
    tell(endpoint, days)


def tell(endpoint: Endpoint, days: pd.DataFrame) -> None:
    """Send the outcomes of days that were asked for."""
    endpoint.outcomes(dict(zip(prediction_ids(days), days[TARGET], strict=True)))


def prediction_ids(days: pd.DataFrame) -> list[str]:
    """One id a day, so that the outcome finds its prediction."""
    return [f"seattle-{date:%Y-%m-%d}" for date in days["date"]]


@dataclass
class Load:
    """What the clients of a switch saw."""

    sent: int = 0
    failures: list[str] = field(default_factory=list)
    models: set[str] = field(default_factory=set)


def replay_while(endpoint: Endpoint, days: pd.DataFrame, switch: Callable[[], object]) -> Load:
    """Send days from several clients at once, and ``switch`` in the middle of it.

    Half of the clients keep their connection, half open a new one for each request. Days that are
    left when the switch has ended are sent too; if they run out before, the last one is asked again.
    """
    import httpx

    from taxiway.control import remote

    url, transport = f"{endpoint.url}/predict", remote.transport_of(endpoint)
    load, lock = Load(), threading.Lock()
    waiting = list(range(len(days)))
    switched = threading.Event()

    def client(keeps: bool) -> None:
        with httpx.Client(trust_env=False, timeout=30, transport=transport) as kept:
            post = kept.post if keeps or transport else httpx.post
            while True:
                with lock:
                    if not waiting and switched.is_set():
                        return
                    place = waiting.pop(0) if waiting else len(days) - 1
                model, failure = _ask(post, url, days.iloc[[place]])
                with lock:
                    load.sent += 1
                    load.failures += [failure] if failure else []
                    load.models |= {model} if model else set()
                time.sleep(PAUSE_SECONDS)

    threads = [threading.Thread(target=client, args=(number % 2 == 0,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.3)
        switch()
    finally:
        switched.set()
        for thread in threads:
            thread.join()
    tell(endpoint, days)
    return load


def _ask(post: Callable[..., httpx.Response], url: str, day: pd.DataFrame) -> tuple[str, str]:
    """Ask for one day; give the Model that answered, or else what went wrong."""
    import httpx

    body = {
        "records": day[FEATURES].to_dict(orient="records"),
        "ids": prediction_ids(day),
        "times": [day["date"].iloc[0].isoformat()],
    }
    try:
        answer = post(url, json=body)
    except (httpx.HTTPError, RequestError) as error:
        return "", f"{type(error).__name__}: {error}"
    if answer.status_code != 200:
        return "", f"{answer.status_code}: {answer.text[:200]}"
    return str(answer.json()["model"]), ""
