"""What the tests of clouds' back ends share."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass

from taxiway.backends import Observation, Status
from taxiway.monitoring import log as prediction_log
from taxiway.serving.spool import list_segments, read_segment
from tests.backends.conformance import Subject


@dataclass
class CloudSubject(Subject):
    """An endpoint that is asked through its back end, which has the credentials for it."""

    def ask(self, seen: Observation) -> str:
        return self.ask_as("")

    def ask_as(self, name: str) -> str:
        """Ask for a prediction of that id, or of one of its own; give the tag of the Model that answered."""
        body = json.dumps({"records": self.models[0].rows(1)}).encode()
        headers = {"content-type": "application/json", "x-request-id": name}
        status, _, answer = self.backend.ask(self.ref, body, headers)
        assert status == 200, answer
        return str(json.loads(answer)["model"])

    def collected(self) -> list[tuple[str, str]]:
        """Role and id of every prediction that was brought here."""
        folder = self.backend.home / "run" / self.backend.name / self.name / "spool"
        records = [record for path in list_segments(folder) for record in read_segment(path)[0]]
        frame = prediction_log.predictions_frame(records)
        return sorted(zip(frame["role"], frame["id"], strict=True))

    def fail_twice(
        self, first: Callable[[], object], second: Callable[[], object], mend: Callable[[], object]
    ) -> tuple[str, str]:
        """Let a first deploy fail, and an update: each is told, and tried again only when asked again.

        Parameters
        ----------
        first, second
            Lets what is deployed next fail.
        mend
            Ends that.

        Returns
        -------
        tuple
            The two reasons that were told.
        """
        first()
        self.backend.apply(self.spec(), token="one")
        failed = self.until(lambda seen: seen.status is Status.FAILED)
        assert failed.live is None
        mend()
        assert self.backend.apply(self.spec(), token="one").status is Status.FAILED
        self.backend.apply(self.spec(), token="two")
        self.ready(0)
        # Where an update fails, the Model before it goes on answering
        second()
        self.backend.apply(self.spec(1), token="three")
        kept = self.until(lambda seen: seen.status is Status.DEGRADED)
        assert kept.live == self.models[0].tag
        assert self.models[1].tag in kept.reason
        assert self.ask(kept) == self.models[0].tag
        mend()
        assert self.backend.apply(self.spec(1), token="three").status is Status.DEGRADED
        self.backend.apply(self.spec(1), token="four")
        self.ready(1)
        return failed.reason, kept.reason

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
