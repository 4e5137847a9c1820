"""What changes alerts, silences, rules and sinks says with ``--json`` what it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from taxiway.control import notices, rules
from taxiway.control.ledger import ledger
from taxiway.monitoring.context import firing
from tests.forked import taxiway


def said(*command: str) -> Any:
    return json.loads(taxiway(*command, "--json").stdout)


def test_every_change_can_be_read_by_a_program(taxiway_home: Path) -> None:
    book = ledger()
    with book.transaction() as session:
        notices.settle(
            session, "rain", [firing("rain", "data_drift", "warning", "`wind` drifted", "", "wind")]
        )
    rules.apply(book, rules.placed([{"name": "few", "metric": "rows", "below": 1}], ""), by="test")
    book.close()  # what follows runs in processes that are forked from this one

    assert said("alerts", "ack", "1") == {"id": 1, "state": "acknowledged"}
    number = said("alerts", "silence", "rain", "--for", "1h", "--reason", "x")["id"]
    ended = said("alerts", "unsilence", str(number))
    assert (ended["id"], ended["active"]) == (number, False)
    assert said("rules", "delete", "few") == {"deleted": "few", "endpoint": ""}
    made = said("sinks", "add", "hook", "--url", "http://127.0.0.1:9/hook")
    assert (made["name"], made["kind"], made["waiting"]) == ("hook", "webhook", 1)
    assert said("sinks", "list") == [made]
    assert said("sinks", "remove", "hook") == {"removed": "hook"}
    assert said("sinks", "list") == []
