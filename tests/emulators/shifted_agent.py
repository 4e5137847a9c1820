"""The agent, on a machine whose clock is set while it runs: ``now`` is off by the seconds that a file holds.

Its monotonic clock goes on as it did, as a real one does. It is started by
``python -m tests.emulators.shifted_agent FILE taxiway.control.agent``; by the last word it is known as an
agent.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import taxiway.control.ledger


def main() -> None:
    offset = Path(sys.argv[1])
    sys.argv[1:] = []

    def shifted() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(offset.read_text()))

    taxiway.control.ledger.now = shifted  # before whoever takes it from there is imported
    from taxiway.control.agent import main as run

    run()


if __name__ == "__main__":
    main()
