"""sros2_policy: print what each node of a graph may do, as `ros2 security` takes it.

For example `sros2_policy drone server:=/server >policy.xml`, and then `ros2 security
generate_artifacts -k keystore -p policy.xml`.
"""

import argparse
from collections.abc import Iterator, Sequence

from offload_perception.bringup import fleet_graph
from offload_perception.bringup.arguments import Settings
from offload_perception.bringup.graph import DRONE, SERVER, NodeEntry
from offload_perception.bringup.permissions import policy
from offload_perception.bringup.process_runner import parse_arguments, parse_words
from offload_perception.console import command

GRAPHS = {'drone': DRONE, 'server': SERVER}


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Print the policy."""
    p = argparse.ArgumentParser(prog='sros2_policy', description=__doc__)
    p.add_argument('graph', choices=(*GRAPHS, 'fleet'), help='which launch file starts the nodes')
    p.add_argument('arguments', nargs='*', metavar='name:=value', help='as for the launch file')
    args = p.parse_args(argv)
    print(policy(_running(args.graph, args.arguments)), end='')
    return 0


def _running(graph: str, words: list[str]) -> Iterator[tuple[NodeEntry, Settings]]:
    """Yield the nodes that run with these arguments."""
    parts = ([(m.nodes, m.settings) for m in fleet_graph.members(parse_words(words))]
             if graph == 'fleet' else [(GRAPHS[graph], parse_arguments(GRAPHS[graph], words))])
    for nodes, settings in parts:
        yield from ((node, settings) for node in nodes if settings.runs(node))
