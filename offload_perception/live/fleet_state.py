"""The current state of all drones and servers of a network: each in a line, one in full."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from offload_perception.live import view
from offload_perception.live.plain_data import plain
from offload_perception.live.state import LiveState, Received, namespace_of
from offload_perception.live.warnings import SILENT_S, Health
from offload_perception.telemetry.drone_names import in_order
from offload_perception.telemetry.summary import percent, sum_line

MAX_DRONES, MAX_SERVERS = 64, 64
_NAMED = 4  # servers and states in a line


@dataclass
class Server:
    """The newest messages of a server."""

    status: Received | None = None
    served: Received | None = None


class FleetState:
    """The states of drones that were found on the network, and of the servers there.

    Of bounded memory. May be fed and read from several threads.

    :ivar own: the state of the drone that a viewer was started for, whether it is there or not.
    :ivar left_out: how many drones there is no room for.
    :param servers: that every drone may use; others are found.
    """

    def __init__(self, own: str, servers: Iterable[str] = (),
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.left_out = clock, 0
        self._listed = tuple(servers)
        self.own = LiveState(own, self._listed, clock)
        self.drones: dict[str, LiveState] = {}
        self.servers = {name: Server() for name in self._listed}

    # -- what is found -----------------------------------------------------------------------

    def found(self, drones: Collection[str], servers: Collection[str]) -> None:
        """Take the drones and servers that are on the network now.

        Those that have gone stay, unless others need their place.
        """
        new = [name for name in in_order(drones) if name not in self.drones]
        room = MAX_DRONES - len(self.drones)
        gone = [name for name in self.drones if name not in drones]
        self.drones = {name: state for name, state in self.drones.items()
                       if name not in gone[:max(0, len(new) - room)]}
        room = MAX_DRONES - len(self.drones)
        self.left_out = max(0, len(new) - room)
        for name in new[:room]:
            self._add(name)
        new = [name for name in in_order(servers) if name not in self.servers]
        self.servers = {**self.servers, **{
            name: Server() for name in new[:max(0, MAX_SERVERS - len(self.servers))]}}

    def forget_others(self) -> None:
        """Forget all drones but the own one: nobody listens to them any more."""
        self.drones = {name: state for name, state in self.drones.items() if state is self.own}

    def _add(self, name: str) -> None:
        state = self.own if name == self.own.drone else LiveState(name, self._listed, self.clock)
        for other in self._states():
            if other is not state:
                other.forget_nodes(name)
        for server in self._listed:
            state.servers[server] = state.servers[server] or self.servers[server].status
        self.drones = {**self.drones, name: state}

    def _states(self) -> list[LiveState]:
        return list({id(s): s for s in (self.own, *self.drones.values())}.values())

    # -- messages in -------------------------------------------------------------------------

    def add_health(self, name: str, level: int, message: str, values: dict[str, str]) -> None:
        """Take the diagnostics of a node: of a drone's for that drone, of any other for all."""
        owner = self.drones.get(namespace_of(name))
        for state in [owner] if owner else self._states():
            state.add_health(name, level, message, values)

    def add_server(self, server: str, m: Any) -> None:
        """Take the ServerStatus of the server in the namespace `server`."""
        if server in self.servers:
            self.servers[server].status = Received(self.clock(), m)
            for state in self._states():
                state.add_server(server, m)

    def add_served(self, server: str, m: Any) -> None:
        """Take the ServedDrones of the server in the namespace `server`."""
        if server in self.servers:
            self.servers[server].served = Received(self.clock(), m)

    # -- the current state -------------------------------------------------------------------

    def shown(self, name: str = '') -> LiveState:
        """Return the state of a drone; without a name the own one, or the first if that is absent.

        That of a drone which was not found is empty.
        """
        if name:
            return self.drones.get(name) or (
                self.own if name == self.own.drone else LiveState(name, (), self.clock))
        if self.own.drone in self.drones or self.own.hears_drone or not self.drones:
            return self.own
        return self.drones[in_order(self.drones)[0]]

    def snapshot(self, name: str = '') -> dict[str, Any]:
        """Return the snapshot of the drone that `shown` returns, with all others in `fleet`."""
        return {**self.shown(name).snapshot(), 'fleet': self.table()}

    def node(self, name: str) -> Health | None:
        """Return the last diagnostics of a node, by its fully qualified name."""
        return self.drones.get(namespace_of(name), self.own).health.get(name)

    def line(self) -> str:
        """Return the fleet in a line: its rate and deadlines, its servers, and who is not well."""
        table = self.table()
        drones, asked = table['drones'], sum(d['with_deadline'] for d in table['drones'])
        parts = [f'{len(drones)} drones {sum(d["per_second"] for d in drones):5.1f} fps']
        if asked:
            parts.append(f'deadline met {percent(sum(d["met"] for d in drones) / asked)}')
        parts += [f'{s["name"]} {s["arrival_rate"] or 0.0:.1f}/s' for s in table['servers']
                  if s['age_s'] is not None and not s['silent']][:_NAMED]
        unwell = Counter(d['state']['words'] for d in drones if d['state']['kind'] != 'live')
        parts += [f'{n} of {len(drones)}: {words}' for words, n in unwell.most_common(_NAMED)]
        return ' | '.join(parts)

    def closing_lines(self) -> list[str]:
        """Return the lines that close a run: one for each drone, then the sums and the caveats."""
        drones = {name: self.drones[name] for name in in_order(self.drones)}
        tallies = [s.summary.tally(s.images_published) for s in drones.values()]
        lines = [f'{name} {"; ".join(s.summary.closing_lines(s.images_published)[:3])}'
                 for name, s in drones.items()]
        caveats = dict.fromkeys(c for s in drones.values() for c in s.caveats())
        return [*lines, sum_line(tallies), *caveats]

    def table(self) -> dict[str, Any]:
        """Return a row for each drone and server; see `view.row` and `view.server_row`."""
        drones, servers, now = self.drones, self.servers, self.clock()
        lines = [drones[name].row() for name in in_order(drones)]
        used = Counter(line['server'] for line in lines if line['mean'] is not None)

        def server_line(name: str, server: Server) -> Any:
            return plain(view.server_row(name, server.status, _fresh(server.served, now),
                                         used[name], now))
        return {'drones': lines, 'left_out': self.left_out,
                'servers': [server_line(name, servers[name]) for name in in_order(servers)]}


def _fresh(received: Received | None, now: float) -> Any:
    """Return a message that is not outdated, else None."""
    return received.message if received and now - received.at_s <= SILENT_S else None
