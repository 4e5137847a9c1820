"""``taxiway.serving`` with a spool that writes nothing, to see what the log costs.

Takes the same arguments as ``python -m taxiway.serving``.
"""

from __future__ import annotations

import sys
from typing import Any

from taxiway.serving import __main__
from taxiway.serving.predictor import Predictor
from taxiway.serving.spool import SpoolWriter


def _nothing(*_: Any) -> bool:
    return True


if __name__ == "__main__":
    SpoolWriter.append = _nothing  # type: ignore[method-assign]
    Predictor._write_row = _nothing  # type: ignore[assignment,method-assign]
    sys.exit(__main__.main())
