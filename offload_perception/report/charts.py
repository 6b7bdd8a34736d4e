"""The charts of a report, in their order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload_perception.report.flight_charts import energy, policy, samples, servers, track
from offload_perception.report.frame_charts import (
    decisions,
    drops,
    estimates,
    latency,
    misses,
    network,
)
from offload_perception.report.recorded_flight import Flight

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Chart:
    """A chart: its file's name, its title, a sentence on how to read it, and its drawer.

    `draw` returns None if a flight has no data for it.
    """

    name: str
    title: str
    text: str
    draw: Callable[[Flight], 'Figure | None']


CHARTS = (
    Chart('latency', 'Latency by stage', 'Mean of each stage, stacked; the black line is the '
          'slowest frame of each interval. Blue runs on the drone, orange is the link, green the '
          'server (or the rest of the layers on board).', latency),
    Chart('network', 'Where each layer ran', 'The network from its input (top) to its result: '
          'the share of frames that ran each layer on board, and the cuts that were used.',
          network),
    Chart('decisions', 'Cut and codec over time', 'What each frame used, from the input (top) '
          'down, and how it ended.', decisions),
    Chart('energy', 'Power and energy per frame', "The computer's supply, idle power included; "
          'below it what the meter node attributes to single frames.', energy),
    Chart('misses', 'Deadline misses', 'Each frame against the deadline. A late frame is laid to '
          'the stage that took most above its usual time.', misses),
    Chart('estimates', 'Estimates against truth', 'What the planner expected of a frame, and what '
          'came of it.', estimates),
    Chart('servers', 'Servers', 'What the servers announced of their load, and the energy of a '
          'frame, idle power included, of those with a meter.', servers),
    Chart('policy', 'Mission policy', 'How much perception might cost, and how many frames were '
          'kept back for that (paced).', policy),
    Chart('track', 'Where results were taken', 'Position of the vehicle at the stamp of each '
          'result, by label.', track),
    Chart('samples', 'Sample frames', 'Recorded images with what was found in them; green agrees '
          'with the known truth of a generated image, red does not, black is unknown.', samples),
    Chart('drops', 'Dropped frames', 'Frames without a result, by reason.', drops),
)
