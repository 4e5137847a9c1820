"""``taxiway audit``, ``backup`` and ``restore``, as a shell sees them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import text

from taxiway.control.ledger import ledger, record
from tests import forked
from tests.control.rows import endpoint_row


def taxiway(*arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
    done = forked.taxiway(*arguments)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.usefixtures("taxiway_home")
def test_a_ledger_is_backed_up_spoilt_found_out_and_restored(tmp_path: Path) -> None:
    with ledger().transaction() as session:
        session.add(endpoint_row("rain"))
        record(session, "deployed", "rain:one was deployed.", by="test", endpoint="rain")
        record(session, "observed", "rain is READY.", by="test", endpoint="rain")
    file = tmp_path / "ledger.backup"
    made = json.loads(taxiway("backup", str(file), "--json").stdout)
    assert (made["path"], made["endpoints"], made["events"]) == (str(file), 1, 2)
    assert "--force" in taxiway("backup", str(file), ok=False).stderr
    assert f"mark {made['mark']}" in taxiway("audit", "--since", made["mark"]).stdout
    with ledger().engine.begin() as connection:
        connection.execute(text("UPDATE events SET text = 'snow:one was deployed.' WHERE id = 1"))
    assert "Event 1 is not as it was recorded" in taxiway("audit", ok=False).stdout
    assert "--force" in taxiway("restore", str(file), ok=False).stderr
    done = taxiway("restore", str(file), "--force").stdout
    assert "1 endpoints, 3 events" in done
    assert "ledger-before-restore-" in done
    assert json.loads(taxiway("audit", "--since", made["mark"], "--json").stdout)["findings"] == []
