"""What the ends of a drone's frames tell of its link and its server."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from offload_perception.health.finding import Finding, error, warning
from offload_perception.health.trend import Recent
from offload_perception.pipeline.ledger import Counts
from offload_perception.pipeline.records import DropReason


class FramesWatch:
    """Turns the frame counts, and the last words on each reason for a drop, into findings."""

    def __init__(self) -> None:
        self._recent = Recent()

    def findings(self, counts: Counts, last: Mapping[str, str], server: str,
                 now_s: float) -> Iterator[Finding]:
        """Yield what was wrong lately.

        :param last: the last text for each DropReason.
        :param server: whom the frames go to, as the texts name it.
        """
        n = self._recent.grown({**counts.reasons, 'remote': counts.remote}, now_s)
        within = f'in {self._recent.window_s:.0f} s'
        if lost := n[DropReason.TIMEOUT]:
            yield self._unanswered(lost, n['remote'], server, within)
        if turned := n[DropReason.BUSY] + n[DropReason.LATE]:
            yield warning('server load', f'{server} is overloaded: it turned {turned} tensors '
                          f'away {within}; add a server, or keep more on board')
        yield from self._failed(n, last, within)

    @staticmethod
    def _unanswered(lost: int, answered: int, server: str, within: str) -> Finding:
        if answered:
            return warning('link', f'{lost} of {lost + answered} tensors to {server} were not '
                           f'answered in time {within}: weak link, or slow server')
        return error('link', f'link lost: no reply from {server} to {lost} tensors {within}; is '
                     'the network up, and does the server still run?')

    @staticmethod
    def _failed(n: Counter[str], last: Mapping[str, str], within: str) -> Iterator[Finding]:
        for reason, make, what in (
                (DropReason.REFUSED, error, 'tensors refused by the server'),
                (DropReason.SERVER_FAILED, error, 'tensors failed on the server'),
                (DropReason.HEAD_FAILED, error, 'frames failed on board'),
                (DropReason.BAD_IMAGE, warning, 'images could not be used')):
            if n[reason]:
                yield make(reason.value, f'{n[reason]} {what} {within}: {last.get(reason, "")}')


def servers_findings(problems: Mapping[str, str], lost: Collection[str],
                     local: bool) -> Iterator[Finding]:
    """Yield what is wrong with a drone's servers.

    :param problems: what is wrong with each one's topic, empty where nothing is.
    :param lost: those that the planner gets no reply from.
    :param local: whether the drone carries on alone without a server.
    """
    stuck = not local or all(problems.values())
    for server, problem in problems.items():
        if problem:
            where = '; all is done on board' if local and stuck else ''
            yield (warning if local else error)(f'server {server}', f'{problem}{where}')
    for server in lost:
        yield warning(f'link to {server}', f'link lost: no reply from {server}; frames do without '
                      'it until it answers probes; is the network up?')
