"""Rules that people set: what they measure, and that each mistake is told with its line and field."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.errors import InputError
from taxiway.monitoring.context import DEFAULT_RULES, Context, WindowDrift, WindowReadings
from taxiway.monitoring.drift import ColumnDrift
from taxiway.monitoring.rulebook import RuleSpec, duration, evaluate, parse_rule
from taxiway.monitoring.rulefile import parse_rules, read_rules
from tests.monitoring.test_rules import measured

MODEL = "rain:abc"
HOUR = timedelta(hours=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def drifted(hour: int, psi: float, n: int = 100, *, complete: bool = True) -> WindowDrift:
    start = START + hour * HOUR
    columns = [
        ColumnDrift(
            "wind",
            "numeric",
            psi=psi,
            statistic=psi / 2,
            test="ks",
            p_value=1e-4,
            drifted=psi > 0.2,
            n_window=n,
        ),
        ColumnDrift(
            "date", "numeric", psi=9.0, statistic=1.0, test="ks", p_value=1e-4, drifted=True, n_window=n
        ),
    ]
    return WindowDrift(f"hour {hour}", start, start + HOUR, MODEL, columns, complete)


def context(*psi: float, **more: object) -> Context:
    return Context("rain", MODEL, drift=[drifted(hour, value) for hour, value in enumerate(psi)], **more)  # type: ignore[arg-type]


def fired(where: Context, **rule: object) -> list[tuple[str, str | None, float | None]]:
    spec = parse_rule({"name": "mine", **rule})
    return [(one.title, one.column, one.value) for one in evaluate(where, [spec]) if one.rule == "mine"]


def test_a_bound_on_a_column_fires_with_what_was_measured_and_where():
    assert fired(context(0.1, 0.43), metric="psi", column="wind", above=0.3) == [
        ("psi of `wind` of rain is 0.43 in hour 1, above 0.3", "wind", 0.43)
    ]
    assert not fired(context(0.43, 0.1), metric="psi", column="wind", above=0.3)
    assert fired(context(0.1), metric="ks", column="wind", below=0.06)[0][2] == 0.05


def test_a_rule_of_every_column_fires_for_each_but_those_left_out():
    found = fired(context(0.43), metric="psi", above=0.3)
    assert {column for _, column, _ in found} == {"wind", "date"}
    assert len({one.fingerprint for one in evaluate(context(0.43), [parse_rule(RULE)])}) == 4
    assert [one[1] for one in fired(context(0.43), metric="psi", above=0.3, exclude=["date"])] == ["wind"]


RULE = {"name": "mine", "metric": "psi", "column": "*", "above": 0.3}


def test_a_window_of_time_is_the_mean_weighted_by_rows_and_a_count_is_a_sum():
    where = replace(
        context(), drift=[drifted(0, 9.0), drifted(1, 0.2, n=300), drifted(2, 0.6, n=100)], model=MODEL
    )
    ((title, _, value),) = fired(where, metric="psi", column="wind", window="2h", above=0.25)
    assert value == pytest.approx(0.3)
    assert "in hour 1 to hour 2" in title
    readings = [
        WindowReadings(one.label, one.start, one.end, MODEL, rows)
        for one, rows in zip(where.drift, (1, 20, 300), strict=True)
    ]
    rows = replace(where, readings=readings)
    assert fired(rows, metric="rows", window="2h", above=300)[0][2] == 320
    assert fired(rows, metric="rows", above=299)[0][2] == 300


def test_a_window_that_fills_counts_only_where_the_rule_says_so():
    where = replace(context(0.1), drift=[drifted(0, 0.1), drifted(1, 0.9, complete=False)])
    assert not fired(where, metric="psi", column="wind", above=0.3)
    assert fired(where, metric="psi", column="wind", above=0.3, window="current")


def test_outcomes_of_a_window_are_judged_once_there_are_enough():
    where = Context("rain", MODEL, performance=[measured(3, 60, 100)])
    assert fired(where, metric="accuracy", below=0.7)[0][2] == pytest.approx(0.6)
    assert fired(where, metric="performance.accuracy", below=0.7)
    assert not fired(where, metric="accuracy", below=0.7, min_rows=101)
    assert fired(where, metric="labelled", above=99)
    assert not fired(where, metric="rmse", below=1)


def test_a_default_rule_is_switched_off_made_stricter_or_made_to_wait():
    where = context(0.43)
    data_drift = [one for one in evaluate(where) if one.rule == "data_drift"]
    assert {one.column for one in data_drift} == {"wind", "date"}
    assert not evaluate(where, [parse_rule({"name": "data_drift", "enabled": False})])
    assert [one.column for one in evaluate(where, [parse_rule({"name": "data_drift", "above": 1})])] == [
        "date"
    ]
    spec = parse_rule({"name": "data_drift", "exclude": ["date"], "for": "2h", "severity": "critical"})
    (one,) = evaluate(where, [spec])
    assert (one.column, one.hold, one.severity) == ("wind", 2 * HOUR, "critical")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {name: a, metric: psi, above: 1}\n- name: b\n  metric: psi\n  above: much\n", "line 4: above:"),
        ("rules:\n- name: b\n  metric: psi\n  abov: 1\n", "line 4: abov: there is no such field"),
        ("- name: b\n  metric: pssi\n  above: 1\n", "line 2: metric: 'pssi' is not a metric"),
        ("- name: b\n  metric: psi\n", "line 1: it needs a bound"),
        ("- name: b\n  metric: psi\n  above: 1\n  for: soon\n", "line 4: for: 'soon' is not a duration"),
        ("- name: b\n  metric: psi\n  above: .nan\n", "line 3: above: input should be a finite number"),
        ("- name: b\n  metric: rows\n  above: 1\n  column: x\n", "line 1: rows is of a whole window"),
        ("- name: data_drift\n  metric: psi\n  above: 1\n", "it is a default rule's name"),
        ("- {name: A b, metric: psi, above: 1}\n", "line 1: name:"),
        (
            "- {name: a, metric: psi, above: 1}\n- {name: a, metric: psi, above: 2}\n",
            "line 2: rule 'a' stands",
        ),
        ("- {name: a, name: b, metric: psi, above: 1}\n", "line 1: name is given twice"),
        ("- &x {name: a, metric: psi, above: 1}\n- *x\n", "line 2: aliases"),
        ("- {name: a\n", "it is not YAML"),
        ("- {name: !!python/object/apply:os.getcwd [], metric: psi}\n", "line 1: name cannot be read"),
        ("alerts: []\n", "line 1: there is no field 'alerts'"),
        ("", "line 1: it has no list of rules"),
        ("rules: 5\n", "it has no list of rules"),
        ("- 5\n", "line 1: a rule is a mapping"),
        ("{[a]: b}\n", "line 1: there is no field"),
        ("{? {a: b} : c}\n", "line 1: there is no field"),
        ("[" * 100_000, "line 1: it is nested too deeply"),
        ("- {name: a, metric: psi, above: true}\n", "line 1: above: input should be a valid number"),
        ("- {name: a, metric: psi, above: 1, min_rows: true}\n", "min_rows: input should be a valid integer"),
        ("- {name: a, metric: rows, above: 1, window: 999999w}\n", "window: '999999w' is longer than"),
        ("- {name: a, metric: rows, above: 1, for: 999999w}\n", "for: '999999w' is longer than"),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence_with_its_line_and_field(text: str, told: str):
    with pytest.raises(InputError) as refused:
        parse_rules(text, "my.yaml")
    assert refused.value.message.startswith("my.yaml, line ")
    assert told in refused.value.message
    assert "\n" not in refused.value.message


def test_a_file_that_is_none_is_said_so(tmp_path: Path):
    for content in (None, b"\xff\xfe\x00", b"#" * 1_000_001):
        if content is not None:
            (tmp_path / "rules.yaml").write_bytes(content)
        with pytest.raises(InputError):
            read_rules(tmp_path / "rules.yaml")


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_no_text_is_worse_than_refused(text: str):
    with contextlib.suppress(InputError):
        assert parse_rules(text)


def test_the_example_of_the_documentation_is_one_that_can_be_set():
    text = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    specs = {one.spec.name: one.spec for one in parse_rules(example, "docs/monitoring.md")}
    assert list(specs) == ["wind-moves", "few-outcomes", "rainy-days", "new_category", "data_drift"]
    assert (specs["wind-moves"].above, specs["wind-moves"].hold) == (0.3, "2h")
    assert not specs["new_category"].enabled


def test_what_is_stored_of_a_rule_is_what_was_written():
    written = {"name": "a", "metric": "psi", "above": 0.3, "for": "2h", "exclude": ["date"]}
    spec = parse_rule(written)
    assert {"name": "a", **spec.definition()} == written
    assert parse_rule({"name": "a", **spec.definition()}) == spec


def test_every_default_rule_can_be_changed_and_durations_are_read():
    assert all(not RuleSpec(name=name, enabled=False).enabled for name in DEFAULT_RULES)
    assert duration("90s") == timedelta(seconds=90)
    assert duration("1w") == timedelta(days=7)
    for bad in ("", "2", "h", "-1h", "1.5h", "9999999d"):
        with pytest.raises(ValueError, match="duration"):
            duration(bad)
