"""Drives a server's pipeline in this process: its scheduling without the middleware."""

import time
from collections.abc import Callable

from offload_perception.frames import Reply
from offload_perception.load_test.load_plan import Arrival, LoadPlan
from offload_perception.load_test.tally import Answer, LoadReport, Tally
from offload_perception.load_test.tensors import Tensors
from offload_perception.serving.server_pipeline import ServerPipeline

ANSWER_S = 10.0  # after the last tensor was sent


def drone_names(drones: int) -> list[str]:
    """Return the fully qualified names of the simulated drones' nodes."""
    return [f'/load{n}/edge_inference' for n in range(1, drones + 1)]


def drive(plan: LoadPlan, tensors: Tensors,
          make: Callable[[Callable[[Reply], None]], ServerPipeline]) -> LoadReport:
    """Return how a pipeline copes with a load; `make` gets what takes its replies."""
    arrivals, names = plan.arrivals(), drone_names(plan.drones)
    tally, sent_s = Tally(arrivals, names), dict[int, float]()

    def on_reply(reply: Reply) -> None:
        number = reply.packet.sequence
        tally.add(number, Answer(
            reply.status, time.monotonic() - sent_s[number], reply.server_wait_s,
            reply.expected_wait_s, reply.batch))

    pipeline = make(on_reply)
    pipeline.start()

    def send(arrival: Arrival) -> None:
        sent_s[arrival.number] = time.monotonic()
        pipeline.submit(tensors.packet(arrival, names[arrival.drone], None))

    try:
        started_s = time.monotonic()
        send_on_time(arrivals, send)
        tally.wait(ANSWER_S)
        return tally.report(time.monotonic() - started_s)
    finally:
        pipeline.stop()


def send_on_time(arrivals: list[Arrival], send: Callable[[Arrival], object],
                 sleep: Callable[[float], object] = time.sleep) -> None:
    """Call `send` for each arrival at its time; one that is late is sent at once."""
    started_s = time.monotonic()
    for arrival in arrivals:
        early_s = started_s + arrival.at_s - time.monotonic()
        if early_s > 0.0:
            sleep(early_s)
        send(arrival)
