"""``python -m taxiway.serving``: one Model, served over HTTP.

Exit status: 0 after draining, 2 for arguments that cannot be used, 3 for a Model that cannot be served.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import re
import socket
import ssl
import sys
from pathlib import Path

import orjson

from taxiway.serving import logs
from taxiway.serving.admission import hash_token, is_loopback
from taxiway.serving.app import App
from taxiway.serving.control import Control
from taxiway.serving.handover import door_of
from taxiway.serving.options import add_options, add_seconds, create
from taxiway.serving.runtime import ModelError
from taxiway.serving.server import Server, tls_context

MODEL_FAILED = 3
SHADOW_NICENESS = 5

_log = logging.getLogger("taxiway.serving")


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.log_format not in logs.FORMATS:
        parser.error(f"{logs.VARIABLE} is {options.log_format!r}: set it to {' or '.join(logs.FORMATS)}")
    logs.set_up(options.role, options.log_format, _tag(options.model))
    try:
        token_hash = _token_hash(options)
        listener = _listener(options, token_hash)
        tls = _tls(options)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if options.role == "shadow":
        os.nice(SHADOW_NICENESS)
    try:
        app = create(
            options,
            options.model,
            options.spool,
            options.role,
            token_hash=token_hash,
            anyone=options.anyone,
        )
    except ModelError as error:
        _log.error("%s", error)
        return MODEL_FAILED
    except (OSError, ValueError) as error:
        parser.error(str(error))
    # What was loaded stays until the end: the collector need not go over it on every request.
    gc.freeze()
    import uvloop

    uvloop.run(_serve(app, listener, options, tls))
    return 0


async def _serve(
    app: App, listener: socket.socket, options: argparse.Namespace, tls: ssl.SSLContext | None
) -> None:
    server = Server(
        app,
        listener,
        drain_seconds=options.drain_seconds,
        accept_at_once=not options.controlled,
        tls=tls,
    )
    _log.info("%s is ready as %s", app.runtime.tag, options.role)
    control: asyncio.Task[None] | None = None
    if options.controlled:
        control = asyncio.create_task(Control(server, socket.socket(fileno=os.dup(0))).run())
    await server.serve()
    if control is not None:
        control.cancel()
    door_of(os.getpid()).unlink(missing_ok=True)
    _log.info("%s has left", app.runtime.tag)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m taxiway.serving", description="Serve one Model over HTTP."
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the Model's folder")
    parser.add_argument(
        "--spool", type=Path, required=True, metavar="DIR", help="where the prediction log goes"
    )
    parser.add_argument("--role", choices=("live", "shadow"), default="live")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, default=8000, help="where to listen (default 8000)")
    where.add_argument("--fd", type=int, help="an inherited, bound socket to listen on instead")
    where.add_argument("--uds", metavar="PATH", help="a Unix socket to listen on instead")
    parser.add_argument("--host", default="127.0.0.1", help="the address for --port (default loopback)")
    parser.add_argument(
        "--controlled", action="store_true", help="standard input is a socket: accept only when told there"
    )
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--token-file", type=Path, metavar="FILE", help="holds the bearer token to ask for")
    secret.add_argument("--token-env", metavar="NAME", help="the environment variable that holds it")
    secret.add_argument(
        "--token-hash-file", type=Path, metavar="FILE", help="holds its SHA-256 in hexadecimal instead"
    )
    secret.add_argument(
        "--anyone",
        action="store_true",
        help="without a token, answer other machines too: a container's network",
    )
    parser.add_argument("--tls-certificate", metavar="FILE", help="serve HTTPS with this PEM certificate")
    parser.add_argument("--tls-key", metavar="FILE", help="and this key")
    parser.add_argument(
        "--drain-seconds", type=float, default=30.0, help="wait for open connections (default 30)"
    )
    add_seconds(parser, "head", "for a request's head, else 408")
    add_seconds(parser, "send", "for a client to read on, else it is cut off")
    add_options(parser)
    parser.add_argument(
        "--log-format",
        choices=logs.FORMATS,
        default=os.environ.get(logs.VARIABLE, "text"),
        help=f"lines for people, or a JSON object a line (default: ${logs.VARIABLE}, else text)",
    )
    return parser


def _tag(model: Path) -> str:
    """Name the Model as its folder does, for the log of a start that fails; empty where it does not."""
    try:
        manifest = orjson.loads((model / "model.json").read_bytes())
        return f"{manifest['name']}:{manifest['version']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _token_hash(options: argparse.Namespace) -> str | None:
    if options.token_hash_file is not None:
        digest = str(options.token_hash_file.read_text().strip())
        if re.fullmatch("[0-9a-f]{64}", digest) is None:
            raise ValueError(f"{options.token_hash_file} holds no SHA-256 in hexadecimal")
        return digest
    if options.token_file is not None:
        token = options.token_file.read_text().strip()
    elif options.token_env is not None:
        # Taken out, so that no child process inherits it.
        token = os.environ.pop(options.token_env, "").strip()
    else:
        return None
    if not token:
        raise ValueError("the token is empty")
    return hash_token(str(token))


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.tls_certificate is None and options.tls_key is None:
        return None
    if options.tls_certificate is None or options.tls_key is None:
        raise ValueError("--tls-certificate and --tls-key need each other")
    return tls_context(options.tls_certificate, options.tls_key)


def _listener(options: argparse.Namespace, token_hash: str | None) -> socket.socket:
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    if options.uds is not None:
        path = Path(options.uds)
        path.unlink(missing_ok=True)
        private = socket.socket(socket.AF_UNIX)
        private.bind(options.uds)
        path.chmod(0o600)
        return private
    family, kind, protocol, _, address = socket.getaddrinfo(
        options.host, options.port, type=socket.SOCK_STREAM
    )[0]
    if not is_loopback(str(address[0])) and token_hash is None:
        raise ValueError(
            f"{options.host} is not loopback: name a token by --token-file, --token-env or --token-hash-file"
        )
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    return listener


if __name__ == "__main__":
    sys.exit(main())
