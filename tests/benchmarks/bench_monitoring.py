"""Profiles against plain whylogs on one frame, and the cost of drift from stored profiles."""

from __future__ import annotations

import time

ROWS = 100_000


def main() -> None:
    """Print the figures."""
    import numpy as np
    import pandas as pd

    from taxiway.monitoring.drift import drift
    from taxiway.monitoring.profiles import profile

    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            **{f"float_{i}": generator.normal(size=ROWS) for i in range(10)},
            **{f"int_{i}": generator.integers(0, 1000, ROWS) for i in range(5)},
            **{f"text_{i}": generator.choice(list("abcdefgh"), ROWS) for i in range(5)},
        }
    )
    view = profile(frame.head(1000))  # whylogs is imported, and mended for numpy 2
    import whylogs

    begun = time.process_time()
    whylogs.log(frame)
    plain = time.process_time() - begun
    begun = time.process_time()
    view = profile(frame)
    ours = time.process_time() - begun
    rates = f"whylogs {plain:.2f} s CPU, Taxiway {ours:.2f} s ({plain / ours:.2f} × its rate)"
    print(f"profile of {ROWS:,} × 20: {rates}")
    begun = time.process_time()
    drift(view, profile(frame.sample(10_000, random_state=0)))
    cost = time.process_time() - begun
    print(f"drift of 20 columns, a profile of 10,000 rows made on the way: {cost:.2f} s CPU")


if __name__ == "__main__":
    main()
