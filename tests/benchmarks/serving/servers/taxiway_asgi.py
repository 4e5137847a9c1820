"""Taxiway's application as any ASGI server runs it: here plain uvicorn; ``taxiway_asgi.py PORT``."""

from __future__ import annotations

import os
import sys

import uvicorn

from taxiway.serving.app import create_app

if __name__ == "__main__":
    uvicorn.run(
        create_app(os.environ["BENCH_FOLDER"], os.environ["BENCH_SPOOL"]),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="error",
        access_log=False,
    )
