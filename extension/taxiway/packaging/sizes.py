"""Numbers of bytes, for people."""

from __future__ import annotations


def readable(count: float) -> str:
    """Write a number of bytes."""
    scaled, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if scaled < 1000:
            break
        scaled, unit = scaled / 1000, larger
    return f"{scaled:.0f} {unit}" if unit == "B" else f"{scaled:.1f} {unit}"
