"""What every back end promises, as tests that each back end's own tests inherit.

A back end gives a fixture ``subject`` of a class derived from ``Subject``: how a client asks its endpoints,
what there is of them, how an ``apply`` can be cut short. Nothing here knows of processes or of a cloud.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from taxiway.backends import (
    Backend,
    Capability,
    EndpointRef,
    EndpointSpec,
    LogLine,
    ModelRef,
    Observation,
    Routing,
    Status,
    Suspendable,
)
from taxiway.errors import BackendError, InputError, NotFoundError, TaxiwayError, UnsupportedError
from tests.models import BuiltModel
from tests.waiting import wait_until


@dataclass
class Subject(ABC):
    """One endpoint of a back end, and what a test does with it.

    Attributes
    ----------
    models
        Three versions of one Model.
    seconds
        The longest that it may take to get ready, or to be gone.
    interruptions
        Names of the moments at which ``interrupt`` can cut an ``apply`` short.
    facts
        What ``check`` must tell at least.
    """

    backend: Any
    models: Sequence[BuiltModel]
    name: str = "iris"
    seconds: ClassVar[float] = 30.0
    interruptions: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[frozenset[str]] = frozenset()

    # What a back end's tests say

    @abstractmethod
    def ask(self, seen: Observation) -> str:
        """Ask for a prediction, as a new client would; give the tag of the Model that answered.

        Parameters
        ----------
        seen
            The endpoint when it was ready, with its URL.
        """

    @abstractmethod
    def resources(self) -> list[str]:
        """Name all that there is of the endpoint: what runs, and what is paid for."""

    @abstractmethod
    def interrupt(self, spec: EndpointSpec, token: str, moment: str) -> None:
        """Apply, and be cut short at one of ``interruptions``, as a process that is killed is."""

    @abstractmethod
    def orphan(self) -> None:
        """Leave something of the ready endpoint behind that nobody looks after."""

    @abstractmethod
    def in_doubt(self) -> AbstractContextManager[None]:
        """While the block runs, the back end cannot know how the endpoint is."""

    @abstractmethod
    def out_of_order(self) -> AbstractContextManager[None]:
        """While the block runs, the place where Models run fails: ``apply`` and ``route`` cannot be done."""

    # What all tests do

    @property
    def ref(self) -> EndpointRef:
        return EndpointRef(self.name)

    def model(self, number: int) -> ModelRef:
        model = self.models[number]
        return ModelRef(model.name, model.version, model.path)

    def spec(self, live: int = 0, shadow: int | None = None, **more: Any) -> EndpointSpec:
        return EndpointSpec(self.name, self.routing(live, shadow), **more)

    def routing(self, live: int, shadow: int | None = None) -> Routing:
        return Routing(self.model(live), None if shadow is None else self.model(shadow))

    def start(self, live: int = 0, shadow: int | None = None, **more: Any) -> Observation:
        self.backend.apply(self.spec(live, shadow, **more), token="start")
        return self.ready(live, shadow)

    def ready(self, live: int, shadow: int | None = None) -> Observation:
        tag = self.models[live].tag
        other = None if shadow is None else self.models[shadow].tag
        return self.until(lambda seen: (seen.status, seen.live, seen.shadow) == (Status.READY, tag, other))

    def until(self, holds: Callable[[Observation], bool], seconds: float | None = None) -> Observation:
        deadline = time.monotonic() + (seconds or self.seconds)
        seen: Observation
        while not holds(seen := self.backend.observe(self.ref)):
            assert time.monotonic() < deadline, f"{seen}\n{self.story()}"
            time.sleep(0.02)
        return seen

    def story(self) -> str:
        """Say what may explain a failure."""
        return "\n".join(line.text for line in self.backend.logs(self.ref))

    def settled(self, count: int) -> None:
        """Wait until there is so much of the endpoint: what leaves may take a while."""
        wait_until(
            lambda: len(self.resources()) == count, f"{count} resources: {self.resources()}", self.seconds
        )


@dataclass
class Clients:
    """Clients that ask one after another, all the time, and forgive nothing."""

    subject: Subject
    seen: Observation
    count: int = 2
    answers: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Clients:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Wait until so many more have been answered or have failed."""
        goal = len(self.answers) + len(self.failures) + count
        wait_until(lambda: len(self.answers) + len(self.failures) >= goal, "answers", self.subject.seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.answers.append(self.subject.ask(self.seen))
            except Exception as error:  # noqa: BLE001 - whatever it is, a client saw it
                self.failures.append(repr(error))
            time.sleep(0.005)


@contextmanager
def refused(kind: type[TaxiwayError], word: str | None = None) -> Iterator[None]:
    """Expect an error of the hierarchy that says in a sentence what is wrong, and what to do."""
    with pytest.raises(kind, match=word) as caught:
        yield
    assert caught.value.message.endswith((".", "?")), caught.value.message
    assert "Traceback" not in caught.value.message
    assert caught.value.hint, caught.value.message


class Conformance:
    """The promises, one by one.

    ``CANARY`` and ``SCALE_TO_ZERO`` have nothing in the protocol yet that could be tried.
    """

    def test_it_is_a_backend_that_knows_its_health_and_looks_without_traces(self, subject: Subject) -> None:
        assert isinstance(subject.backend, Backend)
        diagnosis = subject.backend.check()
        assert diagnosis.ok, diagnosis.problems
        assert subject.facts <= diagnosis.facts.keys()
        assert subject.resources() == []

    def test_what_is_not_there_is_absent_and_can_be_destroyed_twice(self, subject: Subject) -> None:
        for _ in range(2):
            seen = subject.backend.observe(subject.ref)
            assert (seen.status, seen.live, seen.shadow, seen.url) == (Status.ABSENT, None, None, None)
            assert subject.backend.destroy(subject.ref, token="a").status is Status.ABSENT
        assert list(subject.backend.logs(subject.ref)) == []
        assert subject.resources() == []

    def test_a_plan_changes_nothing(self, subject: Subject) -> None:
        assert subject.backend.plan(subject.spec()).changes
        assert subject.backend.observe(subject.ref).status is Status.ABSENT
        assert subject.resources() == []
        subject.start()
        before = sorted(subject.resources())
        assert subject.backend.plan(subject.spec()).changes == ()
        (change,) = subject.backend.plan(subject.spec(live=1)).changes
        assert subject.models[1].tag in change
        assert subject.backend.plan(subject.spec(workers=2)).changes
        time.sleep(0.6)  # what had been begun would show
        assert sorted(subject.resources()) == before
        assert subject.ask(subject.ready(0)) == subject.models[0].tag

    def test_applied_again_it_stays_as_it_is(self, subject: Subject) -> None:
        first = subject.start()
        before = sorted(subject.resources())
        for token in ("start", "another"):
            again = subject.backend.apply(subject.spec(), token=token)
            assert (again.status, again.url, again.live) == (Status.READY, first.url, first.live)
        assert sorted(subject.resources()) == before

    def test_applied_twice_with_one_token_there_is_one(self, subject: Subject) -> None:
        subject.start()
        one = len(subject.resources())
        subject.backend.destroy(subject.ref, token="end")
        subject.settled(0)
        problems: list[str] = []

        def apply() -> None:
            try:
                subject.backend.apply(subject.spec(), token="same")
            except Exception as error:  # noqa: BLE001 - the test's thread says so
                problems.append(repr(error))

        threads = [threading.Thread(target=apply) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        subject.backend.apply(subject.spec(), token="same")
        assert problems == []
        assert subject.ask(subject.ready(0)) == subject.models[0].tag
        assert len(subject.resources()) == one, subject.resources()

    def test_clients_see_one_model_or_the_other_and_no_gap(self, subject: Subject) -> None:
        first = subject.start()
        one = len(subject.resources())
        seen: list[str] = []
        with Clients(subject, first) as clients:
            clients.more(10)
            for live in (1, 0, 1):
                told = subject.backend.route(subject.ref, subject.routing(live), token=f"to {live}")
                assert told.status in (Status.PENDING, Status.READY)
                assert subject.ready(live).url == first.url
                seen += [subject.ask(first) for _ in range(5)]
                assert set(seen) == {subject.models[live].tag}, "once it is ready, the other answers no more"
                seen.clear()
                clients.more(10)
        assert clients.failures == []
        assert set(clients.answers) == {subject.models[0].tag, subject.models[1].tag}
        subject.settled(one)

    def test_a_route_that_cannot_be_leaves_the_old_one(self, subject: Subject, tmp_path: Path) -> None:
        first = subject.start()
        with refused(NotFoundError, "iris:0{12}"):
            subject.backend.route(subject.ref, Routing(ModelRef("iris", "0" * 12, tmp_path)), token="a")
        assert subject.ready(0).url == first.url
        assert subject.ask(first) == subject.models[0].tag

    def test_what_it_says_it_can_do_it_can_and_the_rest_it_refuses(self, subject: Subject) -> None:
        asked: dict[Capability, dict[str, Any]] = {
            Capability.SHADOW: {"shadow": 1},
            Capability.GPU: {"device": "gpu"},
        }
        for capability, more in asked.items():
            lacks = subject.backend.plan(subject.spec(**more)).unsupported
            if capability in subject.backend.capabilities:
                assert lacks == ()
                assert subject.ask(subject.start(**more)) == subject.models[0].tag
                subject.backend.destroy(subject.ref, token="end")
            else:
                assert lacks, f"a plan with {more} must say that it cannot be"
                with refused(BackendError):
                    subject.backend.apply(subject.spec(**more), token="a")
            assert subject.backend.observe(subject.ref).status is Status.ABSENT
            subject.settled(0)
        priced = subject.backend.plan(subject.spec()).hourly_cost is not None
        assert priced == (Capability.COST in subject.backend.capabilities)
        assert {Capability(one) for one in subject.backend.capabilities} == subject.backend.capabilities

    def test_its_log_can_be_read_and_followed_if_it_says_so(self, subject: Subject) -> None:
        subject.start()

        def read() -> list[LogLine]:
            lines = list(subject.backend.logs(subject.ref))
            return lines if any(subject.models[0].tag in line.text for line in lines) else []

        lines = wait_until(read, "the Model's name in the log, which may come later", subject.seconds)
        times = [line.time for line in lines if line.time is not None]
        assert times == sorted(times)
        latest = [line for line in lines if line.time == times[-1]]
        assert list(subject.backend.logs(subject.ref, since=times[-1])) == latest
        if Capability.LOG_FOLLOW not in subject.backend.capabilities:
            with refused(UnsupportedError):
                list(subject.backend.logs(subject.ref, follow=True))
            return
        followed: list[str] = []

        def follow() -> None:
            followed.extend(line.text for line in subject.backend.logs(subject.ref, follow=True))

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        subject.backend.route(subject.ref, subject.routing(1), token="a")
        subject.ready(1)
        # What comes is in it, and it ends with the endpoint, whose log may go with it
        new = subject.models[1].tag
        wait_until(lambda: any(new in text for text in followed), "the new Model's lines", subject.seconds)
        subject.backend.destroy(subject.ref, token="end")
        thread.join(subject.seconds)
        assert not thread.is_alive()

    def test_whoever_can_be_stopped_leaves_nothing_running_and_comes_back(self, subject: Subject) -> None:
        if not isinstance(subject.backend, Suspendable):
            pytest.skip("its processes run elsewhere")
        first = subject.start()
        assert subject.backend.stop(subject.ref).status is Status.ABSENT
        subject.settled(0)
        assert subject.start().url == first.url

    def test_an_error_is_of_the_hierarchy_and_says_what_to_do(self, subject: Subject, tmp_path: Path) -> None:
        right = subject.spec()
        for name in ("../etc", "", "A", ".hidden", "x/y"):
            with refused(InputError, "name"):
                subject.backend.apply(replace(right, name=name), token="a")
        with refused(InputError, "worker"):
            subject.backend.apply(subject.spec(workers=0), token="a")
        with refused(NotFoundError, "iris:0{12}"):
            missing = Routing(ModelRef("iris", "0" * 12, tmp_path))
            subject.backend.apply(replace(right, routing=missing), token="a")
        with refused(NotFoundError, "nothing"):
            subject.backend.route(EndpointRef("nothing"), subject.routing(0), token="a")
        assert subject.resources() == []
        with subject.out_of_order(), refused(BackendError):
            subject.backend.apply(right, token="a")
        assert subject.backend.observe(subject.ref).status is not Status.READY
        assert subject.ask(subject.start()) == subject.models[0].tag
        with subject.out_of_order(), refused(BackendError):
            subject.backend.route(subject.ref, subject.routing(1), token="b")
        subject.backend.route(subject.ref, subject.routing(1), token="b")
        assert subject.ask(subject.ready(1)) == subject.models[1].tag

    def test_an_apply_that_was_cut_short_is_brought_to_its_end_by_the_next(self, subject: Subject) -> None:
        subject.start()
        one = len(subject.resources())
        assert subject.interruptions
        for moment in subject.interruptions:
            subject.backend.destroy(subject.ref, token="end")
            subject.settled(0)
            for live in (0, 1):  # as a beginning, and as a change
                subject.interrupt(subject.spec(live), f"{moment} {live}", moment)
                assert subject.backend.observe(subject.ref).status in Status
                subject.backend.apply(subject.spec(live), token=f"{moment} {live}")
                assert subject.ask(subject.ready(live)) == subject.models[live].tag, moment
                subject.settled(one)

    def test_after_an_apply_that_was_cut_short_nothing_outlives_destroy(self, subject: Subject) -> None:
        for moment in subject.interruptions:
            subject.interrupt(subject.spec(), moment, moment)
            assert subject.backend.destroy(subject.ref, token="end").status is Status.ABSENT
            subject.settled(0)

    def test_orphans_are_reaped(self, subject: Subject) -> None:
        subject.start()
        one = len(subject.resources())
        subject.orphan()
        subject.backend.apply(subject.spec(), token="again")
        assert subject.ask(subject.ready(0)) == subject.models[0].tag
        subject.settled(one)
        subject.orphan()
        assert subject.backend.destroy(subject.ref, token="end").status is Status.ABSENT
        subject.settled(0)

    def test_unknown_is_never_ready(self, subject: Subject) -> None:
        subject.start()
        with subject.in_doubt():
            for _ in range(3):
                seen = subject.backend.observe(subject.ref)
                assert seen.status is Status.UNKNOWN
                assert seen.reason.endswith(".")
        subject.ready(0)

    def test_destroyed_twice_it_is_absent_and_can_be_made_again(self, subject: Subject) -> None:
        first = subject.start()
        for _ in range(2):
            assert subject.backend.destroy(subject.ref, token="a").status is Status.ABSENT
            subject.settled(0)
        with pytest.raises(Exception):  # noqa: B017 - whatever a client sees of what is not there
            subject.ask(first)
        assert subject.ask(subject.start(live=1)) == subject.models[1].tag
