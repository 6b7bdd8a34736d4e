"""Start the nodes of a fleet as processes, as `ros2 launch` does, if `ros2` is not installed."""

from collections.abc import Callable, Iterator, Sequence

from offload_perception.bringup.fleet_graph import Member
from offload_perception.bringup.graph import NodeEntry
from offload_perception.bringup.process_runner import STAY_INACTIVE, GraphRunner


class FleetRunner:
    """The processes of a fleet; a context manager that ends them all.

    A node that ends by itself ends no other one.
    """

    def __init__(self, parts: Sequence[Member], show: Callable[[str], None] = print) -> None:
        self._graphs = [(m, GraphRunner(m.nodes, m.settings, show, m.label)) for m in parts]

    def nodes(self, *, players: bool) -> list[str]:
        """Return the fully qualified names of the nodes that play a source, or of all others."""
        return [f'/{m.label(n)}' for m, graph in self._graphs for n in m.nodes
                if n.name in graph and m.plays(n) is players]

    def start(self) -> None:
        """Start all nodes; those that play a source stay inactive."""
        for m, graph in self._graphs:
            for n in m.nodes:
                graph.start(n.name, **(STAY_INACTIVE if m.plays(n) else {}))

    def ended(self) -> Iterator[tuple[str, int]]:
        """Yield name and exit code of each node that has ended by itself since the last call."""
        for m, graph in self._graphs:
            while dead := graph.dead():
                name, code = dead
                graph.stop(name)
                yield next(m.label(n) for n in m.nodes if n.name == name), code

    def stop(self, wanted: Callable[[Member, NodeEntry], bool]) -> None:
        """End the nodes that are wanted, all at once."""
        chosen = [(graph, n.name) for m, graph in self._graphs for n in m.nodes if wanted(m, n)]
        for graph, name in chosen:
            graph.terminate(name)
        for graph, name in chosen:
            graph.stop(name)

    def close(self) -> None:
        """End all nodes: those of the fleet last, so that a recorder misses nothing."""
        self.stop(lambda m, n: bool(m.name))
        self.stop(lambda m, n: True)

    def __enter__(self) -> 'FleetRunner':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
