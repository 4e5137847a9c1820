"""Rules in the ledger: set together or not at all, tried on what was seen, and told by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from taxiway.control import alerting, exposition, notices, retraining, rules
from taxiway.control.endpoint import Endpoint
from taxiway.control.ledger import Ledger, ledger
from taxiway.control.tables import AlertRow, EventRow, RunRow, TriggerRow, WindowRow
from taxiway.errors import InputError, NotFoundError
from taxiway.monitoring.context import firing
from tests import forked
from tests.control.rows import endpoint_row

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def book(home: Path, tags: tuple[str, str]) -> Ledger:
    """An endpoint with three windows; its ``wind`` drifted more and more."""
    made = ledger()
    with made.transaction() as session:
        session.add(endpoint_row("rain", live=tags[0]))
        for hour, psi in enumerate((0.1, 0.4, 0.6)):
            drift = {"column": 'wi"nd\\', "kind": "numeric", "psi": psi, "statistic": 0.2, "test": "ks"}
            drift |= {
                "p_value": 0.001,
                "drifted": psi > 0.2,
                "n_window": 100,
                "n_reference": 300,
                "text": "x",
            }
            quality = {"kind": "constant", "column": "snow", "text": "`snow` has one value only"}
            estimated = {"method": "cbpe", "metric": "accuracy", "value": None, "low": None, "high": None}
            performance = {
                **{"task": "classification", "n_predictions": 100, "n_labelled": 40, "coverage": 0.4},
                **{"metric": "accuracy", "spread": None, "slices": []},
                "metrics": {
                    "accuracy": {"value": 0.9, "low": 0.8, "high": 0.95},
                    "roc_auc": dict.fromkeys(("value", "low", "high")),
                },
            }
            session.add(
                WindowRow(
                    **{"endpoint": "rain", "model": tags[0], "role": "live", "start": START + hour * HOUR},
                    **{"end": START + (hour + 1) * HOUR, "rows": 100, "profile": "", "updated": START},
                    **{"drift": [drift], "quality": [quality], "judged": True, "performance": performance},
                    estimated={**estimated, "n": 100, "baseline": None, "text": ""},
                )
            )
    return made


def alerts(book: Ledger) -> dict[str, str]:
    with book.reading() as session:
        return {row.rule: row.state for row in session.scalars(select(AlertRow))}


RULES = """
- {name: wind-moves, metric: psi, above: 0.3, for: 2h, endpoint: rain}
- {name: schema_constant, enabled: false}
- {name: estimate, metric: estimated, below: 2}
- {name: area, metric: roc_auc, below: 2}
"""


def test_rules_of_a_file_hold_together_or_not_at_all_and_can_be_tried_before(
    book: Ledger, tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    tried = forked.taxiway("rules", "apply", str(file), "--dry-run", "--json")
    assert '"windows": 2' in tried.stdout, tried.stderr
    alerting.evaluate(book, "rain")
    assert alerts(book)["schema_constant"] == "firing"
    endpoint = Endpoint("rain")
    file.write_text(RULES + "- {name: other, metric: psi, above: 1, endpoint: nosuch}\n")
    refused = forked.taxiway("rules", "apply", str(file))
    assert refused.stderr.splitlines()[0] == "Error: There is no endpoint named 'nosuch'."
    assert "wind-moves" not in set(endpoint.rules()["name"])
    file.write_text(RULES)
    assert forked.taxiway("rules", "apply", str(file)).returncode == 0
    alerting.evaluate(book, "rain")
    assert alerts(book).items() >= {"schema_constant": "resolved", "wind-moves": "pending"}.items()
    assert "estimate" not in alerts(book), "what could not be estimated is not judged"
    shown = forked.taxiway("rules", "show", "wind-moves", "--endpoint", "rain").stdout
    assert "for: 2h" in shown
    with book.reading() as session:
        events = [row.text for row in session.scalars(select(EventRow).where(EventRow.kind == "rule set"))]
    assert events[0] == "Rule wind-moves of rain: psi above 0.3 for 2h."
    endpoint.rules(delete=["wind-moves"])
    alerting.evaluate(book, "rain")
    assert "wind-moves" not in alerts(book), "it never fired, and is withdrawn"


def test_a_rule_of_an_endpoint_stands_before_one_of_all(book: Ledger) -> None:
    everywhere = {"name": "data_drift", "enabled": False}
    rules.apply(book, [rules.placed([everywhere], "")[0]], by="test")
    Endpoint("rain").rules([{"name": "data_drift", "severity": "critical"}])
    with book.reading() as session:
        (spec,) = rules.specs_of(session, "rain")
        (other,) = rules.specs_of(session, "snow")
    assert (spec.enabled, spec.severity, other.enabled) == (True, "critical", False)
    with pytest.raises(NotFoundError, match="No rule"):
        rules.delete(book, "nosuch", by="test")
    with pytest.raises(InputError, match="metric"):
        Endpoint("rain").rules([{"name": "x", "metric": "nosuch", "above": 1}])


def test_any_alert_that_fires_may_trigger_a_retraining_and_no_pending_one(
    book: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "train.ipynb").write_text("{}")
    rain = Endpoint("rain")
    rain.rules([{"name": "wind-moves", "metric": "psi", "above": 0.3, "for": "2h"}])
    with pytest.raises(InputError, match=r"There is no rule 'wind-move'. Did you mean wind-moves"):
        rain.retrain_on_drift(tmp_path / "train.ipynb", rules=["wind-move"])
    rain.retrain_on_drift(tmp_path / "train.ipynb", rules=["wind-moves"], min_outcomes=0)
    supervisor = retraining.RunSupervisor(book)

    def runs() -> int:
        with book.reading() as session:
            assert session.get(TriggerRow, "rain") is not None
            return len(session.scalars(select(RunRow)).all())

    held = firing("rain", "wind-moves", "warning", "It moves", "", "wind", hold=2 * HOUR)
    with book.transaction() as session:
        notices.settle(session, "rain", [held], moment=START)
    supervisor._consider("rain")
    assert runs() == 0
    with book.transaction() as session:
        notices.settle(session, "rain", [held], moment=START + 2 * HOUR)
    rain.retrain_on_drift(tmp_path / "train.ipynb", rules=["*"], min_outcomes=0)
    supervisor._consider("rain")
    assert runs() == 1


def test_metrics_are_of_the_text_format_and_bounded_in_number(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerting.evaluate(book, "rain")
    text = exposition.render(book).decode()
    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert {sample.labels["rule"] for sample in found["taxiway_alerts"]} >= {"data_drift", "schema_constant"}
    (drift,) = found["taxiway_drift_psi"]
    assert (drift.labels["column"], drift.value) == ('wi"nd\\', 0.6)
    assert found["taxiway_label_coverage"][0].value == 0.4
    assert [sample.labels["metric"] for sample in found["taxiway_performance"]] == ["accuracy"]
    assert found["taxiway_estimated_performance"] == []
    monkeypatch.setattr(exposition, "MOST_COLUMNS", 0)
    assert "taxiway_drift_psi{" not in exposition.render(book).decode()
