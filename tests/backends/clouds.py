"""What the tests of clouds' back ends share."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

from taxiway.backends import Observation, Status
from tests.backends.conformance import Subject


@dataclass
class CloudSubject(Subject):
    """An endpoint that is asked through its back end, which has the credentials for it."""

    def ask(self, seen: Observation) -> str:
        body = json.dumps({"records": self.models[0].rows(1)}).encode()
        status, _, answer = self.backend.ask(self.ref, body, {"content-type": "application/json"})
        assert status == 200, answer
        return str(json.loads(answer)["model"])

    def deploy_two_at_once(self) -> None:
        """Deploy two Models as two processes may; it ends with one of them, and the other can follow."""
        problems: list[BaseException] = []

        def deploy(number: int) -> None:
            try:
                type(self.backend)(self.backend.home).apply(self.spec(number), token=str(number))
            except BaseException as error:  # noqa: BLE001
                problems.append(error)

        threads = [threading.Thread(target=deploy, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        seen = self.until(lambda seen: seen.status is Status.READY)
        assert seen.live in (self.models[0].tag, self.models[1].tag)
        self.backend.apply(self.spec(1), token="1")
        self.ready(1)
