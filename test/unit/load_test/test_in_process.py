"""A load against a server's pipeline with the bundled network, and its figures."""

from collections.abc import Iterator

import numpy as np
import pytest

from offload_perception.frames import Status
from offload_perception.load_test.in_process import drive, send_on_time
from offload_perception.load_test.load_plan import Arrival, LoadPlan
from offload_perception.load_test.tally import Answer, Tally
from offload_perception.load_test.tensors import Tensors
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.batched import BatchedTails
from offload_perception.runtime.open_network import open_network
from offload_perception.serving.server_pipeline import ServerSettings
from offload_perception.serving.tail_pipeline import TailPipeline


@pytest.fixture(scope='module')
def tails() -> Iterator[tuple[BatchedTails, Tensors]]:
    network = open_network(prepare('aerial'), 'cpu')
    tensors = Tensors(network, (14, 18, 19))
    tails = BatchedTails(network, threads=1, min_gain=0.0)
    yield tails, tensors
    tails.close()
    network.close()


def test_every_tensor_of_a_load_is_answered_once(tails: tuple[BatchedTails, Tensors]) -> None:
    network, tensors = tails
    plan = LoadPlan(4, 200.0, 1.0, (14, 18, 19), (0.0, 5.0), seed=3)
    report = drive(plan, tensors, lambda reply: TailPipeline(
        network=network, reply=reply, settings=ServerSettings('/server')))
    assert report.sent == sum(report.answers.values()) == sum(
        d.sent for d in report.drones.values())
    assert report.unanswered == report.doubled == 0
    assert report.answers['ok'] > 0 and report.latency_s['p50'] > 0.0
    assert report.mean_batch >= 1.0 and np.isfinite(report.wait_error_s)
    assert set(report.drones) == {f'/load{n}/edge_inference' for n in range(1, 5)}


def test_a_tally_adds_up() -> None:
    arrivals = [Arrival(1, 0.0, 0, 3, 0.1), Arrival(2, 0.1, 0, 3, 0.1), Arrival(3, 0.2, 1, 3, 0.0),
                Arrival(4, 0.3, 1, 3, 0.1)]
    tally = Tally(arrivals, ['/a', '/b'])
    tally.add(1, Answer(Status.OK, 0.05, 0.01, 0.02, 2))
    tally.add(2, Answer(Status.OK, 0.15, 0.03, 0.01, 1))
    tally.add(3, Answer(Status.OK, 9.0, 0.02, 0.02, 1))
    tally.add(3, Answer(Status.OK, 9.0))
    tally.add(77, Answer(Status.OK, 0.1))
    assert not tally.wait(0.0)
    report = tally.report(2.0)
    assert (report.sent, report.unanswered, report.doubled) == (4, 1, 1)
    assert (report.throughput, report.goodput, report.in_time) == (1.5, 1.0, 0.5)
    assert report.mean_wait_s == pytest.approx(0.02)
    assert report.wait_error_s == pytest.approx(0.01)
    assert report.drones['/a'].in_time == 0.5
    assert report.drones['/b'].answers == {'ok': 1, 'unanswered': 1}
    assert '4 tensors of 2 drones' in report.lines()[0]
    tally.add(4, Answer(Status.BUSY, 0.1))
    assert tally.wait(0.0) and tally.report(2.0).to_dict()['answers'] == {'ok': 3, 'busy': 1}


def test_tensors_are_sent_at_their_times() -> None:
    slept: list[float] = []
    sent: list[int] = []
    arrivals = [Arrival(1, -1.0, 0, 0, 0.0), Arrival(2, 1e3, 0, 0, 0.0)]
    send_on_time(arrivals, lambda a: sent.append(a.number), sleep=slept.append)
    assert sent == [1, 2] and len(slept) == 1 and 990.0 < slept[0] <= 1e3
