"""What is wrong with nodes and servers, as viewers show it: one item a finding."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Any

from offload_perception.health import NOT_ACTIVE, Finding, Level, findings_of
from offload_perception.health.steady import JUST_OVER
from offload_perception.incoming import TEXT_LIMIT, text
from offload_perception.live.plain_data import WORDS_LIMIT

if TYPE_CHECKING:
    from offload_perception.live.state import LiveState

SILENT_S = 5.0  # nodes publish their diagnostics once a second, servers their status
NO_FRAME_S = 3.0
_WORDS = {Level.OK: 'ok', Level.WARN: 'warning', Level.ERROR: 'error'}
_ORDER = ('error', 'silent', 'warning', 'ok')
_FINDINGS, _ITEMS = 32, 64  # that are kept of a node, and shown of all
_LINK = ('link to /', 'server /')  # of a finding's name, before the server's; see health.drone


@dataclass(frozen=True)
class Health:
    """The last diagnostics of a node.

    `since_s` is when each finding (level and name) was first received; monotonic seconds.
    """

    at_s: float
    level: Level
    message: str
    values: Mapping[str, str]
    found: tuple[Finding, ...] = ()
    since_s: Mapping[tuple[Level, str], float] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Return whether the node says that it works."""
        return not self.message.startswith(NOT_ACTIVE)


def follow(before: Health | None, now: float, level: int, message: str,
           values: Mapping[str, str]) -> Health:
    """Return a node's health from its new diagnostics and its health before."""
    found = tuple(findings_of(level, message, values)[:_FINDINGS])
    known = before.since_s if before else {}
    since_s = {key: known.get(key, now) for key in ((f.level, f.name) for f in found)}
    worst = Level(min(max(level, Level.OK), Level.ERROR))
    return Health(now, worst, message, values, found, since_s)


def unused_servers(state: 'LiveState') -> tuple[str, ...]:
    """Return the servers that get no frames: all, if a fixed cut keeps all on board."""
    d = state.decision.message if state.decision else None
    fixed_on_board = d is not None and not d.server and isnan(d.latency)
    return tuple(state.servers) if fixed_on_board else ()


def nodes(health: Mapping[str, Health], now: float,
          unused: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the nodes by their diagnostics, the worst first; a node that fell silent says so.

    :param unused: the servers whose silence does not matter.
    """
    found = [{'name': name, 'level': _level(name, h, now, unused),
              'message': text(h.message, TEXT_LIMIT),
              'age_s': now - h.at_s} for name, h in health.items()]
    return sorted(found, key=lambda h: (_ORDER.index(h['level']), h['name']))


def items(health: Mapping[str, Health], now: float,
          unused: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return what is wrong, one item a finding: the worst first, of these the newest.

    :param unused: as for `nodes`.
    """
    found = [item for name, h in health.items() if not _does_not_matter(name, h, now, unused)
             for item in _of_node(name, h, now)]
    found.sort(key=lambda i: (_ORDER.index(i['level']), i['for_s'], i['node']))
    return found[:_ITEMS]


def _of_node(name: str, h: Health, now: float) -> list[dict[str, Any]]:
    silent_s = now - h.at_s
    if silent_s > SILENT_S:
        last = max(h.found, key=lambda f: f.level, default=None)
        said = f'has been silent for {silent_s:.0f} s; ' + (
            f'its last report: {last.text}' if last and last.level else 'it was OK before')
        return [{'node': name, 'level': _level(name, h, now), 'text': said, 'for_s': silent_s}]
    return [{'node': name, 'level': _WORDS[f.level], 'text': f.text,
             'for_s': now - h.since_s[f.level, f.name]} for f in h.found if f.level]


def complaints(health: Mapping[str, Health], now: float,
               unused: Collection[str] = ()) -> list[str]:
    """Return what the nodes report, one line each, the worst first; at most three."""
    return [text(f'diagnostics: {i["level"]}, {i["node"]}: {i["text"]}', WORDS_LIMIT)
            for i in items(health, now, unused)][:3]


def _does_not_matter(name: str, h: Health, now: float, unused: Collection[str]) -> bool:
    """Return whether a node is silent and belongs to a server that gets no frames."""
    return now - h.at_s > SILENT_S and name.rpartition('/')[0] in unused


def _level(name: str, h: Health, now: float, unused: Collection[str] = ()) -> str:
    if _does_not_matter(name, h, now, unused):
        return 'ok'
    level = _WORDS[h.level]
    return 'silent' if level != 'error' and now - h.at_s > SILENT_S else level


def lost_servers(state: 'LiveState', now: float) -> list[str]:
    """Return the servers that fell silent, or that do not answer the drone."""
    unused = unused_servers(state)
    found = {name for name, received in state.servers.items()
             if received and name not in unused and now - received.at_s > SILENT_S}
    edge = state.node('edge_inference')
    for f in edge.found if edge and now - edge.at_s <= SILENT_S else ():
        if f.text.endswith(JUST_OVER):
            continue
        if f.level and f.name.startswith(_LINK):
            found.add(f.name.rpartition(' ')[2])
        elif f.level is Level.ERROR and f.name == 'link':  # a static cut uses the first server
            found.update(list(state.servers)[:1])
    return sorted(found)


def pill(state: 'LiveState', now: float) -> dict[str, str]:
    """Return the state in a few words, and whether it is `live`, `waiting` or `lost`."""
    lost, others = lost_servers(state, now), foreign_servers(state)
    words = [f'{" and ".join(lost)} lost'] if lost else []
    words += [f'{" and ".join(others)} has another model'] if others else []
    kind = 'lost' if words else 'waiting'
    if missing := _missing(state, now):
        words.append(missing)
    return {'kind': kind if words else 'live', 'words': ', '.join(words) or 'live'}


def foreign_servers(state: 'LiveState') -> list[str]:
    """Return the servers in use that have another model than the drone."""
    unused = unused_servers(state)
    return [name for name, received in state.servers.items()
            if received and name not in unused
            and state.digest and received.message.model_digest != state.digest]


def _missing(state: 'LiveState', now: float) -> str:
    """Return what should arrive and does not, in words; empty if everything arrives."""
    if not state.frames:
        return 'no frame yet' if state.hears_drone else f'no messages from {state.drone}'
    if (silent_s := now - state.frames[-1].at_s) > NO_FRAME_S:
        return f'no frame for {silent_s:.0f} s'
    if state.last_result_s is None:
        return 'no result yet'
    paced_s = state.policy.message.min_period if state.policy else 0.0
    silent_s = now - state.last_result_s
    return f'no result for {silent_s:.0f} s' if silent_s > NO_FRAME_S + paced_s else ''
