"""The HTTP server: SageMaker as emulated here, everything else of AWS by moto."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from tests.emulators.sagemaker import images, policies
from tests.emulators.sagemaker.calls import AwsError, Call
from tests.emulators.sagemaker.control import Control
from tests.emulators.sagemaker.endpoint import Endpoint
from tests.emulators.sagemaker.invoke import Runtime
from tests.emulators.sagemaker.keys import PATH
from tests.emulators.sagemaker.records import Records
from tests.emulators.sagemaker.site import Site

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_DRAIN_SECONDS = 20.0


class Server:
    """Listens on a free port of loopback while it is entered."""

    def __init__(self, site: Site) -> None:
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            MotoRequestHandler,
            create_backend_app,
        )
        from werkzeug.serving import make_server

        class Handler(MotoRequestHandler):  # type: ignore[misc]
            protocol_version = "HTTP/1.1"

            def log(self, *_args: Any) -> None:
                """Nothing: tests have enough to read."""

        self.site = site
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._controls: dict[str, Control] = {}
        self._lock = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._wsgi, threaded=True, request_handler=Handler)
        self.port = int(self._server.server_port)
        site.url = f"http://127.0.0.1:{self.port}"
        self.records = Records(site.client)
        self.runtime = Runtime(site, self.records, self._find)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> None:
        """Answer."""
        self._thread.start()

    def stop(self) -> None:
        """End every endpoint, and the server."""
        self.site.ended.set()
        endpoints = [one for control in self._controls.values() for one in control.endpoints.values()]
        for endpoint in endpoints:
            endpoint.join(_DRAIN_SECONDS)
        self.runtime.close()
        for endpoint in endpoints:
            endpoint.end()
        self.records.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def control(self, region: str) -> Control:
        """The control plane of a region."""
        with self._lock:
            return self._controls.setdefault(region, Control(self.site, self.records, region))

    def controls(self) -> list[Control]:
        """Of every region that was used."""
        with self._lock:
            return list(self._controls.values())

    def _find(self, region: str, name: str) -> Endpoint | None:
        return self.control(region).endpoints.get(name)

    def _wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        if request.path == PATH:
            shown = request.headers.get("Authorization", "")
            return self.site.keys.hand_out(shown)(environ, start_response)
        call = Call.of(request)
        try:
            self.site.keys.check(call)
            if call.key != self.site.keys.inside.id:
                self.site.faults.check(call)
                if (response := self._own(call)) is not None:
                    return response(environ, start_response)
        except AwsError as error:
            return call.failure(error)(environ, start_response)
        if call.service == "ecr":
            return self._mended(call)(environ, start_response)
        return self._by_moto(environ, call, start_response)

    def _own(self, call: Call) -> Response | None:
        if call.endpoint:
            return self.runtime.answer(call)
        said: dict[str, Any] | None = None
        if call.service == "sagemaker" and self.control(call.region).knows(call.operation):
            said = self.control(call.region).answer(call)
        elif call.service == "servicequotas":
            said = policies.quotas(self.site, call)
        elif call.service == "ecr":
            said = images.answer(self.site, call)
        elif call.operation == "SimulatePrincipalPolicy":
            return policies.simulate(self.site, call)
        if said is None:
            return None
        return Response(json.dumps(said), content_type="application/x-amz-json-1.1")

    def _mended(self, call: Call) -> Response:
        environ = _replayed(call.request.environ, call.request.get_data(cache=True))
        response = Response.from_app(self._moto, environ)
        response.set_data(images.mended(self.site, response.get_data()))
        return response

    def _by_moto(
        self, environ: WSGIEnvironment, call: Call, start_response: StartResponse
    ) -> Iterable[bytes]:
        if call.service != "s3":
            environ = _replayed(environ, call.request.get_data(cache=True))
        result: Iterable[bytes] = self._moto(environ, start_response)
        return result


def _replayed(environ: WSGIEnvironment, body: bytes) -> WSGIEnvironment:
    """The same request with its body once more to read."""
    import io

    kept = {name: value for name, value in environ.items() if not name.startswith("werkzeug.request")}
    return {
        **kept,
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input_terminated": True,
    }
