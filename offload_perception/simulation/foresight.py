"""What an oracle knows of a frame that a drone cannot know: its outcome in every way."""

from dataclasses import dataclass
from math import inf

import numpy as np

from offload_perception.planning.decision import Option
from offload_perception.planning.link import MESSAGE_BYTES
from offload_perception.simulation.links import LinkTrace
from offload_perception.simulation.policies import Prospects
from offload_perception.simulation.simulated_radio import SimulatedRadio
from offload_perception.simulation.simulated_server import Server
from offload_perception.simulation.simulated_world import FrameTruth, World


@dataclass(frozen=True)
class Foresight:
    """The true outcome of every option for a frame that starts at `now_s`."""

    world: World
    radio: SimulatedRadio
    servers: list[Server]
    truth: FrameTruth
    arrival_s: float
    now_s: float

    def outcomes(self) -> tuple[list[Option], np.ndarray, np.ndarray]:
        """See `policies.Truth`."""
        ways = self._ways(self.radio.link)
        wait_s = [server.waits_s(ways.arrived_s) for server in self.servers]
        back_s = [ways.arrived_s + w + ways.served_s for w in wait_s]
        return (self._options(), np.concatenate([[ways.on_board_s], *back_s]) - self.arrival_s,
                np.concatenate([[ways.on_board_j], *([ways.sent_j] * len(wait_s))]))

    def prospects(self, seen_s: float) -> Prospects:
        """See `policies.Truth`."""
        ways, servers = self._ways(self.radio.link.staying(seen_s)), len(self.servers)
        waits_s = [server.likely_waits_s(ways.arrived_s) for server in self.servers]
        back_s = [(ways.arrived_s + ways.served_s)[:, None] + w for w in waits_s]
        on_board_s = np.full((1, back_s[0].shape[1]), ways.on_board_s)
        hedge_work_s = ways.on_board_s - self.now_s - self.world.preprocess_s - ways.head_s
        hedge_work_j = ways.on_board_j - ways.head_j
        return Prospects(
            self._options(), np.concatenate([on_board_s, *back_s]) - self.arrival_s,
            np.concatenate([[ways.on_board_j], *([ways.sent_j] * servers)]),
            np.concatenate([[inf], *([hedge_work_s] * servers)]),
            np.concatenate([[0.0], *([hedge_work_j] * servers)]))

    def _options(self) -> list[Option]:
        return [Option(self.world.shape.last), *(
            Option(cut, codec, server.name)
            for server in self.servers for cut, codec in self.world.pairs)]

    def _ways(self, link: LinkTrace) -> '_Ways':
        """Return what the frame takes on that link, in every way."""
        world, truth, now_s = self.world, self.truth, self.now_s
        cuts = np.array([cut for cut, _ in world.pairs])
        figures = np.array([world.sizes.column(*pair) for pair in world.pairs]).T
        raw = np.array([codec == 'raw' for _, codec in world.pairs])
        nbytes = np.floor(figures[0] * np.where(raw, 1.0, truth.size)) + MESSAGE_BYTES
        head_s, head_j = world.head(np.append(world.shape.last, cuts), now_s, truth.head)
        ready_s = now_s + world.preprocess_s + head_s[1:] + figures[2]
        fits = ready_s < inf
        start_s = np.maximum(np.where(fits, ready_s, now_s), self.radio.free_s)
        end_s = link.finish_s(start_s, nbytes)
        sending_s = np.where(fits, link.sending_s(start_s, end_s), inf)
        left_s = np.where(fits, end_s, inf)
        radio, one_way_s = world.profile.radio, link.round_trip_s / 2
        return _Ways(
            now_s + world.preprocess_s + head_s[0], head_j[0], head_s[1:], head_j[1:],
            left_s + one_way_s, world.decode_s + world.tails_s[cuts] * truth.tail + one_way_s,
            head_j[1:] + world.profile.active_w * figures[2] + radio.energy_j(sending_s, nbytes)
            + radio.tail_j(left_s - self.radio.on_until_s + radio.tail_s))


@dataclass(frozen=True)
class _Ways:
    """When a frame is done on board or arrives at a server, and what it takes, for each pair.

    `served_s` is how long decoding, tail and the way back take.
    """

    on_board_s: float
    on_board_j: float
    head_s: np.ndarray
    head_j: np.ndarray
    arrived_s: np.ndarray
    served_s: np.ndarray
    sent_j: np.ndarray
