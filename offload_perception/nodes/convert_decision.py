"""Messages of the planner from its plain data, and back."""

from offload_perception.frames import Frame
from offload_perception.msg import OffloadDecision, ServerStatus
from offload_perception.pipeline.plan import Plan
from offload_perception.planning.decision import Decision
from offload_perception.planning.route import ServerReport
from offload_perception.planning.session import PlanningSession


def static_decision(plan: Plan, split_name: str, *, sequence: int,
                    deadline_s: float) -> OffloadDecision:
    """Return the static decision of the parameters; nothing is predicted."""
    nan = float('nan')
    return OffloadDecision(
        sequence=sequence, split=plan.split, split_name=split_name, codec=plan.codec,
        server=plan.server, feasible=True, reason='static: set by parameter split',
        deadline=deadline_s, latency=nan, latency_spread=nan, energy=nan, energy_spread=nan,
        bandwidth=nan, round_trip=nan, server_wait=nan, candidates=1, runner_up_latency=nan,
        runner_up_energy=nan, latency_error=nan, energy_error=nan)


def decision_message(frame: Frame, d: Decision, session: PlanningSession,
                     cut_names: tuple[str, ...]) -> OffloadDecision:
    """Return what the planner decided for a frame, and how good its recent forecasts are."""
    return OffloadDecision(
        header=frame.header, sequence=frame.sequence, split=d.cut, split_name=cut_names[d.cut],
        codec=d.codec, server=d.server, feasible=d.feasible, reason=d.reason,
        deadline=frame.deadline_s, latency=d.latency_s, latency_spread=d.latency_spread_s,
        energy=d.energy_j, energy_spread=d.energy_spread_j, bandwidth=d.bandwidth,
        round_trip=d.round_trip_s, server_wait=d.wait_s, candidates=d.candidates,
        runner_up=d.runner_up.named(cut_names) if d.runner_up else '',
        runner_up_reason=d.runner_up_reason, runner_up_latency=d.runner_up_latency_s,
        runner_up_energy=d.runner_up_energy_j, latency_error=session.latency_error.mape,
        energy_error=session.energy_error.mape)


def server_report(server: str, m: ServerStatus) -> ServerReport:
    """Return a server's status as the planner uses it."""
    return ServerReport(server=server, expected_wait_s=m.expected_wait,
                        tail_times_s=tuple(m.tail_times))
