"""The planner as the pipeline's strategy: plans each frame, learns from its end, sends probes."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Any

from offload_perception.codec.calibration import Calibration
from offload_perception.errors import PlanError
from offload_perception.frames import DropReason, Frame, ReceivedReply, Status, new_nonce
from offload_perception.pipeline.plan import Ended, Plan
from offload_perception.planning.decision import Decision
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.probing import PROBE_TIMEOUT_S, Probe
from offload_perception.planning.route import ServerReport
from offload_perception.planning.session import PlanningSession

_AWAITED = 16  # frames whose reply may still come
_REMEMBERED = 256  # ended frames whose metered energy may still come


class AutoStrategy:
    """Wraps a PlanningSession during one activation; may be called from several threads.

    What the session has learned goes on from one activation to the next.
    """

    def __init__(self, session: PlanningSession, *, calibration: Calibration | None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.session, self._calibration = session, calibration
        self._clock, self._lock = clock, Lock()
        self._latest: Decision | None = None
        self._ended: OrderedDict[int, Frame] = OrderedDict()
        self._overdue: OrderedDict[int, Frame] = OrderedDict()
        self._probes: dict[int, tuple[Probe, float]] = {}
        self._paced = 0
        self._numbered: tuple[int, float] | None = None

    def __call__(self, frame: Frame) -> Plan:
        """Return the plan for a frame whose work starts now."""
        now = self._clock()
        self._observe_period(frame)
        decision = self.session.plan(now, frame.deadline_s, now - frame.arrival_s)
        self._latest = frame.decision = decision
        if not decision.runnable:
            raise PlanError(decision.reason)
        return Plan(decision.cut, self._setting(decision), decision.server,
                    frame.arrival_s + decision.hedge_s, decision.head_s, decision)

    def _observe_period(self, frame: Frame) -> None:
        """Note the time between two images of the camera, by the frames' numbers.

        Those that the mission's pace has dropped do not count.
        """
        number = frame.sequence - self._paced
        if self._numbered is not None and number > self._numbered[0]:
            before, arrival_s = self._numbered
            self.session.observe_period((frame.arrival_s - arrival_s) / (number - before))
        self._numbered = number, frame.arrival_s

    def _setting(self, decision: Decision) -> str:
        """Return the codec with the clip that was calibrated for its cut."""
        if self._calibration is None:
            return decision.codec
        name = self.session.shape.names[decision.cut]
        return self._calibration.setting(name, decision.codec)

    def observe_end(self, ended: Ended) -> None:
        """Learn from the end of a frame."""
        frame = ended.frame
        self._paced += frame.reason == DropReason.PACED
        if not frame.split_name:  # dropped before it was planned
            return
        report = _report(frame)
        with self._lock:
            _remember(self._ended, frame, _REMEMBERED)
            if report.unanswered:
                _remember(self._overdue, frame, _AWAITED)
        self.session.observe_frame(report, self._clock(), frame.decision)

    def observe_late(self, reply: ReceivedReply) -> None:
        """Learn from a reply to a frame that has ended without it."""
        now = self._clock()
        frame = self._recall(self._overdue, reply.sequence, lambda f: (
            f.nonce, f.server, f.header) == (reply.nonce, reply.server, reply.header))
        if frame is None or reply.status is not Status.OK:
            return
        self.session.observe_late(replace(
            _report(frame), link_s=now - frame.encoded_s - reply.server_total_s,
            wait_s=reply.server_wait_s, decode_s=reply.decode_s, tail_s=reply.tail_s), now)

    def _recall(self, frames: OrderedDict[int, Frame], sequence: int,
                is_it: Callable[[Frame], bool]) -> Frame | None:
        """Remove and return a frame; its number is no proof, since each activation starts at 1."""
        with self._lock:
            frame = frames.get(sequence)
            return frames.pop(sequence) if frame is not None and is_it(frame) else None

    def observe_server(self, report: ServerReport, *, digest: str) -> None:
        """Take a server's status; raises PlanError if it serves another model."""
        self.session.observe_server(report, self._clock(), digest=digest)

    def observe_backlog(self, server: str, age_s: float, wait_s: float) -> None:
        """Take the wait by a server's beat that was received `age_s` ago [s]."""
        self.session.observe_backlog(server, self._clock() - age_s, wait_s)

    def observe_energy(self, header: Any, sequence: int, energy_j: float) -> None:
        """Take a frame's energy above idle (J), as a meter found it."""
        frame = self._recall(self._ended, sequence, lambda f: f.header == header)
        if frame is not None:
            self.session.observe_energy(_report(frame), energy_j, frame.decision)

    # -- probes -----------------------------------------------------------------------------

    def next_probe(self, link_idle: bool) -> tuple[int, Probe] | None:
        """Return a probe to send now and its nonce, or None; gives up old ones.

        A probe queued after a frame would measure the frame: none is sent unless `link_idle`.
        """
        now = self._clock()
        with self._lock:
            lost = [n for n, (_, sent_s) in self._probes.items()
                    if sent_s < now - PROBE_TIMEOUT_S]
            for unanswered, _ in map(self._probes.pop, lost):
                self.session.observe_probe(unanswered, now, None)
            if self._latest is None or self._probes or not link_idle:
                return None
            probe = self.session.probe(now, self._latest)
            if probe is None:
                return None
            nonce = new_nonce()
            self._probes[nonce] = probe, now
            return nonce, probe

    def take_back_probe(self, nonce: int) -> None:
        """Note that a probe had no subscriber."""
        with self._lock:
            self._probes.pop(nonce, None)

    def observe_probe(self, nonce: int, server: str, server_total_s: float) -> None:
        """Take the answer to a probe, if it is that of its server."""
        now = self._clock()
        with self._lock:
            probe, sent_s = self._probes.get(nonce, (None, 0.0))
            if probe is None or probe.server != server:
                return
            del self._probes[nonce]
        self.session.observe_probe(probe, now, max(now - sent_s - server_total_s, 0.0))


def _report(frame: Frame) -> FrameReport:
    """Return the report of a frame, with the codec as the planner named it."""
    report = FrameReport.of(frame)
    return report if frame.decision is None else report.with_codec(frame.decision.codec)


def _remember(frames: OrderedDict[int, Frame], frame: Frame, most: int) -> None:
    frames[frame.sequence] = frame
    if len(frames) > most:
        frames.popitem(last=False)
