"""Options of a serving process that say how a Model is run, wherever it listens."""

from __future__ import annotations

import argparse
from pathlib import Path

from taxiway.serving.app import App, Role, create_app
from taxiway.serving.engines.hardware import DEVICES
from taxiway.serving.limits import Limits
from taxiway.serving.spool import BUDGET_BYTES, SEGMENT_BYTES
from taxiway.serving.tuning import WAIT_MS, Batching

#: Of ``Limits``; the first and the last are the listening socket's, which not every process has.
_SECONDS = ("head_seconds", "body_seconds", "predict_seconds", "send_seconds")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Teach a parser the options that ``create`` reads."""
    parser.add_argument(
        "--policy",
        type=_policy,
        action="append",
        default=[],
        metavar="KIND=ACTION",
        help="ignore, warn or reject",
    )
    parser.add_argument(
        "--threads", type=int, help="threads within one prediction (default: 1, more where that is faster)"
    )
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help=f"what the Model runs on: {DEVICES} (default auto)"
    )
    parser.add_argument(
        "--batch-rows",
        type=int,
        metavar="N",
        help="the most rows of several requests in one run; 0: join none (default: as the sample shows)",
    )
    parser.add_argument(
        "--batch-wait-ms",
        type=float,
        default=WAIT_MS,
        metavar="MS",
        help=f"the longest that a run waits for requests that are expected (default {WAIT_MS:g})",
    )
    limits = Limits()
    parser.add_argument("--max-body", type=int, default=limits.body_bytes, metavar="BYTES")
    parser.add_argument("--max-rows", type=int, default=limits.rows, metavar="ROWS")
    parser.add_argument("--max-requests", type=int, default=limits.concurrency, metavar="N", help="at once")
    add_seconds(parser, "body", "for a request's body, else 408")
    add_seconds(parser, "predict", "for the prediction, else 503")
    parser.add_argument("--spool-budget", type=int, default=BUDGET_BYTES, metavar="BYTES")
    parser.add_argument(
        "--spool-segment", type=int, default=SEGMENT_BYTES, metavar="BYTES", help="of one file of the spool"
    )


def add_seconds(parser: argparse.ArgumentParser, stage: str, of: str) -> None:
    """Teach a parser how long a stage of a request may take; ``of`` says of what."""
    seconds = getattr(Limits(), f"{stage}_seconds")
    parser.add_argument(
        f"--{stage}-seconds", type=float, default=seconds, help=f"wait {of} (default {seconds:g})"
    )


def create(
    options: argparse.Namespace,
    model: Path,
    spool: Path,
    role: Role,
    *,
    token_hash: str | None,
    anyone: bool,
) -> App:
    """Load a Model as the options say.

    Raises
    ------
    ModelError, OSError, ValueError
        As of ``create_app``.
    """
    seconds = {name: getattr(options, name) for name in _SECONDS if name in options}
    return create_app(
        model,
        spool,
        role,
        dict(options.policy),
        limits=Limits(options.max_body, options.max_rows, options.max_requests, **seconds),
        token_hash=token_hash,
        anyone=anyone,
        threads=options.threads,
        device=options.device,
        batching=Batching(options.batch_rows, options.batch_wait_ms),
        spool_budget=options.spool_budget,
        spool_segment=options.spool_segment,
    )


def _policy(text: str) -> tuple[str, str]:
    kind, _, action = text.partition("=")
    return kind, action
