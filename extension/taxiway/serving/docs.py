"""The page about one Model's API: one HTML file that needs nothing from elsewhere."""

from __future__ import annotations

import json
import pprint
import re
import shlex
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from taxiway.serving.asgi import Scope

#: The page's content type and headers: no script runs on it, and it loads nothing.
PAGE = (
    b"text/html; charset=utf-8",
    (
        (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
        (b"x-content-type-options", b"nosniff"),
    ),
)
_HOST = re.compile(rb"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 56rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .3rem .8rem .3rem 0; text-align: left; }
pre { background: #8882; overflow-x: auto; padding: 1rem; }
"""


def origin(scope: Scope, headers: Mapping[bytes, bytes]) -> str:
    """Give the address under which the client sees this endpoint."""
    host = headers.get(b"host", b"")
    name = host.decode("ascii") if _HOST.fullmatch(host) else "localhost"
    scheme = "https" if scope.get("scheme") == "https" else "http"
    return f"{scheme}://{name}{scope.get('root_path', '')}"


def write_page(description: Mapping[str, Any], base: str) -> bytes:
    """Write the page.

    Parameters
    ----------
    description
        What ``GET /schema`` answers.
    base
        The endpoint's address.
    """
    info, schemas = description["info"], description["components"]["schemas"]
    content = description["paths"]["/predict"]["post"]["requestBody"]["content"]
    example = content["application/json"].get("example", [])
    parts = [
        f"<p>{escape(info['description'])}</p>",
        "<h2>Ask for a prediction</h2><p>With curl:</p>",
        f'<pre id="curl">{escape(_curl(base, example))}</pre><p>With Python:</p>',
        f'<pre id="python">{escape(_python(base, example))}</pre>',
        "<p>An endpoint that has a token wants the header <code>Authorization: Bearer …</code> too.</p>",
        "<h2>Columns</h2>",
        _table(("column", "type", "values"), _columns(schemas["Row"])),
        "<h2>Answers</h2>",
        _table(("output", "type", "values"), _columns(schemas["Prediction"])),
        "<h2>Routes</h2>",
        _table(("route", "method", "what it does"), _routes(description["paths"])),
        '<p>All of it for programs: <a href="schema">OpenAPI 3.1</a>.</p>',
    ]
    title = escape(f"{info['title']}:{info['version']}")
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1>{''.join(parts)}</body></html>"
    )
    return page.encode()


def _curl(base: str, example: Any) -> str:
    url, body = shlex.quote(f"{base}/predict"), shlex.quote(json.dumps(example))
    return f"curl {url} -H 'Content-Type: application/json' \\\n  -d {body}"


def _python(base: str, example: Any) -> str:
    rows = pprint.pformat(example, sort_dicts=False)
    return f"""import json
import urllib.request

rows = {rows}
request = urllib.request.Request(
    {f"{base}/predict"!r}, json.dumps(rows).encode(), {{"Content-Type": "application/json"}}
)
print(json.load(urllib.request.urlopen(request))["predictions"])"""


def _columns(schema: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for name, entry in schema["properties"].items():
        kind = entry["type"]
        values = ", ".join(map(str, entry.get("examples", ()))) or entry.get("description", "")
        yield name, " or ".join([kind] if isinstance(kind, str) else kind), values


def _routes(paths: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for path, methods in paths.items():
        for method, entry in methods.items():
            yield path, method.upper(), entry["summary"]


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(heading, 'th')}</thead><tbody>{body}</tbody></table>"
