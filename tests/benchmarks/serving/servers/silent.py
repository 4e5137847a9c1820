"""``taxiway.serving`` with its prediction log switched off, to see what the log costs.

Takes the same arguments as ``python -m taxiway.serving``.
"""

from __future__ import annotations

import sys
from typing import Any

from taxiway.serving import __main__
from taxiway.serving.predictor import Predictor


def _nothing(*_: Any, **__: Any) -> None:
    return None


if __name__ == "__main__":
    Predictor._write_down = _nothing  # type: ignore[method-assign]
    sys.exit(__main__.main())
