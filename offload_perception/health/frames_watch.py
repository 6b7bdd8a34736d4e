"""Problems of a drone's link and servers, from the outcomes of its frames."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from offload_perception.frames import (
    FOREIGN_REPLY,
    REPORTING_FAILED,
    DropReason,
)
from offload_perception.health.finding import Finding, error, several, warning
from offload_perception.health.trend import Recent
from offload_perception.pipeline.ledger import Counts

NOTABLE = 0.02  # of the tensors; fewer are in the counters alone
_ANSWERS = (DropReason.REFUSED, DropReason.BUSY, DropReason.LATE, DropReason.SERVER_FAILED)
LOST_S = 3.0  # without a single reply for this long, the link is lost and not just weak


class FramesWatch:
    """Turns the frame counts, and the last text of each reason for a drop, into findings.

    :param reply_timeout_s: after which a reply counts as missing.
    """

    def __init__(self, reply_timeout_s: float) -> None:
        self._recent, self._lately = Recent(), Recent(max(LOST_S, 2 * reply_timeout_s))

    def findings(self, counts: Counts, last: Mapping[str, str], server: str,
                 now_s: float, unreported: int = 0) -> Iterator[Finding]:
        """Yield what was wrong recently.

        :param last: the last text for each DropReason, REPORTING_FAILED and FOREIGN_REPLY.
        :param server: the server of the frames, as the texts name it.
        :param unreported: how many ends or decisions could not be published so far.
        """
        totals = {**counts.reasons, 'remote': counts.remote, REPORTING_FAILED: unreported,
                  FOREIGN_REPLY: counts.foreign_replies}
        n, lately = self._recent.increase(totals, now_s), self._lately.increase(totals, now_s)
        within = f'in the last {self._recent.window_s:.0f} s'
        answered = n['remote'] + sum(n[reason] for reason in _ANSWERS)
        if lately[DropReason.TIMEOUT] and not (
                lately['remote'] or any(lately[reason] for reason in _ANSWERS)):
            sent = several(lately[DropReason.TIMEOUT], 'tensor')
            yield error('link', f'link lost: no reply from {server} to {sent}; is the network up, '
                        'and does the server still run?')
        elif (lost := n[DropReason.TIMEOUT]) > NOTABLE * (lost + answered):
            yield warning('link', f'{lost} of {lost + answered} tensors to {server} were not '
                          f'answered in time {within}: weak link, or slow server')
        rejected = n[DropReason.BUSY] + n[DropReason.LATE]
        if rejected > NOTABLE * (rejected + n['remote']):
            yield warning('server load', f'{server} is overloaded: it rejected '
                          f'{several(rejected, "tensor")} {within}; add a server, or keep more on '
                          'board')
        yield from self._failed(n, last, within)

    @staticmethod
    def _failed(n: Counter[str], last: Mapping[str, str], within: str) -> Iterator[Finding]:
        for reason, make, what, noun in (
                (DropReason.REFUSED, error, 'the server refused {}', 'tensor'),
                (DropReason.SERVER_FAILED, error, 'the server failed on {}', 'tensor'),
                (DropReason.PLAN_FAILED, error, 'no plan was found for {}', 'frame'),
                (DropReason.HEAD_FAILED, error, 'the layers on board failed on {}', 'frame'),
                (DropReason.ENCODE_FAILED, error, '{} could not be encoded', 'tensor'),
                (DropReason.SEND_FAILED, error, '{} could not be published', 'tensor'),
                (REPORTING_FAILED, error, '{} could not be published', 'report'),
                (FOREIGN_REPLY, warning, '{} to frames in flight ignored as foreign', 'answer'),
                (DropReason.BAD_IMAGE, warning, '{} could not be used', 'image')):
            if n[reason]:
                text = what.format(several(n[reason], noun))
                yield make(str(reason), f'{text} {within}: {last.get(reason, "")}')


def servers_findings(problems: Mapping[str, str], lost: Collection[str], local: bool,
                     backing_off: Mapping[str, str] = MappingProxyType({})) -> Iterator[Finding]:
    """Yield what is wrong with a drone's servers.

    :param problems: what is wrong with the topic of each server, empty if nothing is.
    :param lost: those that do not answer the planner.
    :param local: whether the drone works alone without a server.
    :param backing_off: those that refuse or fail, so that the planner pauses them, and why.
    """
    stuck = not local or all(problems.values())
    for server, problem in problems.items():
        if problem:
            note = '; all is done on board' if local and stuck else ''
            yield (warning if local else error)(f'server {server}', f'{problem}{note}')
    for server in lost:
        yield warning(f'link to {server}', f'link lost: no reply from {server}; it is not used '
                      'until it answers probes; is the network up?')
    for server, why in backing_off.items():
        yield error(f'refusals of {server}', f'{server} refuses frames; it is not used, and '
                    f'retried from time to time: {why}')
