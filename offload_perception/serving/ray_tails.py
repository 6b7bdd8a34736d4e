"""Tails on Ray Serve, as the server sees them: one deployment of a network, with replicas.

Ray starts, watches, replaces and scales the replicas, brings the model to them, shares tensors
out among them and batches what waits at each.
"""

import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

from offload_perception.errors import ConfigError, RuntimeUnavailableError
from offload_perception.frames import FeaturePacket
from offload_perception.runtime.select import Choice
from offload_perception.serving.compute_tails import Computed
from offload_perception.serving.replicas import ReplicaReport, Replicas, ReplicaSettings
from offload_perception.threads import JobQueue, fulfil
from offload_perception.ticker import Ticker

DEPLOYMENT = 'tails'
LOOK_S = 1.0  # between two looks at the replicas
_HEALTH_S, _UPSCALE_S, _LOOK_BACK_S = 1.0, 3.0, 15.0
_UNDER_WAY = 2  # more tensors than this at each replica, and another one is started
_REPORT_S = 30.0
_LOGGING = {'log_level': 'ERROR', 'enable_access_log': False}

log = logging.getLogger(__name__)


class RayTails:
    """Deploys a network on a Ray cluster, and sends it tensors.

    :param name: of the deployment's application, for example the server's namespace.
    :param address: of the cluster, as `ray.init` takes it; empty starts one in this computer,
        as large as the replicas ask for, which ends with `close`.
    :param progress: gets what is waited for, in words, and may raise to give it up.
    :ivar running: how many replicas serve now.
    :ivar trouble: what is not as it should be; empty if all is well.
    :raises RuntimeUnavailableError: if Ray is not installed, or no replica can run.
    :raises ConfigError: if there is no cluster at `address`.
    """

    def __init__(self, settings: ReplicaSettings, replicas: Replicas, *, name: str,
                 address: str = '',
                 progress: Callable[[str], None] = log.info) -> None:
        ray, self._serve = _import_ray()
        self.artefact, self._replicas = settings.artefact, replicas
        self._name = name.strip('/').replace('/', '.') or DEPLOYMENT
        self.running, self.trouble = 0, ''
        with ExitStack() as stack:
            progress(f'joining Ray at {address}' if address else 'starting Ray')
            owner = JobQueue('ray')  # the processes of Ray end with the thread that starts them
            owner.start()
            stack.callback(owner.stop)
            joined = Future[None]()
            owner.submit(partial(fulfil, joined, partial(_join, ray, address, settings, replicas)))
            joined.result()
            stack.callback(ray.shutdown)
            # Tensors come by handles; an HTTP proxy would only open a port.
            self._serve.start(proxy_location='Disabled', logging_config=_LOGGING)
            logging.getLogger('ray.serve').setLevel(logging.ERROR)  # else a line for each tensor
            stack.callback(self._delete if address else self._serve.shutdown)
            handle = self._deploy(settings)
            self._wait(progress)
            self.report: ReplicaReport = handle.report.remote().result(timeout_s=_REPORT_S)
            self._compute = handle.compute
            self._ticker = Ticker('ray_replicas', LOOK_S, self._look, self._on_look_failed)
            self._ticker.start()
            stack.callback(self._ticker.stop)
            self._stack = stack.pop_all()
        self.choice = Choice('ray', 'ray', f'{replicas} replicas', fallback=self.report.fallback)

    @property
    def most(self) -> int:
        """Return how many tensors a replica computes together at most."""
        return self.report.most

    def describe(self) -> str:
        """Return the one line for the log: what runs where."""
        return f'{self.running} of {self._replicas} replicas on Ray, each: {self.report.network}'

    def compute(self, packet: FeaturePacket) -> Awaitable[Computed]:
        """Send a packet to a replica; `cancel` of what is returned gives it up.

        What is awaited raises an exception of Ray if the replica dies.
        """
        sent = replace(packet, header=None, data=bytes(packet.data))
        response: Awaitable[Computed] = self._compute.remote(sent)
        return response

    def close(self) -> None:
        """End the replicas, and the cluster if it was started here."""
        self._stack.close()

    def _deploy(self, settings: ReplicaSettings) -> Any:
        from offload_perception.serving.ray_replica import TailsReplica

        scale: dict[str, Any] = {'num_replicas': self._replicas.least}
        if self._replicas.most > self._replicas.least:
            scale = {'autoscaling_config': {
                'min_replicas': self._replicas.least, 'max_replicas': self._replicas.most,
                'target_ongoing_requests': _UNDER_WAY, 'upscale_delay_s': _UPSCALE_S,
                'look_back_period_s': _LOOK_BACK_S}}
        deployment = self._serve.deployment(
            TailsReplica, name=DEPLOYMENT, ray_actor_options={'num_cpus': settings.threads},
            max_ongoing_requests=2 * settings.batch, health_check_period_s=_HEALTH_S,
            graceful_shutdown_timeout_s=2.0, logging_config=_LOGGING, **scale)
        target = self._serve.RunTarget(deployment.bind(settings), name=self._name,
                                       route_prefix=None)
        handle, = self._serve.run_many([target], wait_for_applications_running=False)
        return handle

    def _wait(self, progress: Callable[[str], None]) -> None:
        """Wait until the replicas run."""
        pause, said = Event(), ''
        while True:
            status = self._status()
            if status is not None and status.status == 'RUNNING':
                self._look()
                return
            if status is not None and status.status == 'DEPLOY_FAILED':
                raise RuntimeUnavailableError(
                    f'no replica can run on Ray: {_why(status)}; every machine of the cluster '
                    'needs this package, and the same versions of Python and Ray')
            text = f'waiting for {self._replicas.least} replicas on Ray'
            if status is not None and (why := _why(status)):
                text += f': {why}'
            if text != said:
                progress(text)
                said = text
            pause.wait(0.1)

    def _look(self) -> None:
        """Note how many replicas run."""
        status = self._status()
        states = status.deployments[DEPLOYMENT].replica_states if (
            status is not None and DEPLOYMENT in status.deployments) else {}
        self.running = states.get('RUNNING', 0)
        self.trouble = '' if self.running >= self._replicas.least else (
            f'{self.running} of {self._replicas} replicas run on Ray, which starts others where '
            'it has free cores; see `ray status`')

    def _on_look_failed(self, error: Exception) -> None:
        self.trouble = f'Ray does not answer ({type(error).__name__}: {error}); see `ray status`'

    def _status(self) -> Any:
        return self._serve.status().applications.get(self._name)

    def _delete(self) -> None:
        self._serve.delete(self._name)


def _import_ray() -> tuple[Any, Any]:
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')  # nothing is reported to others
    os.environ.setdefault('RAY_DISABLE_FAILURE_SIGNAL_HANDLER', '1')  # signals are the node's
    try:
        import ray
        from ray import serve
    except ImportError as e:
        raise RuntimeUnavailableError(
            f"backend ray needs Ray Serve ({e}); pip install 'ray[serve]', or use backend "
            'int8') from e
    return ray, serve


def _join(ray: Any, address: str, settings: ReplicaSettings, replicas: Replicas) -> None:
    """Connect this process to a cluster; Ray brings the model's folder to each machine."""
    local = {'include_dashboard': False, 'num_cpus': settings.threads * replicas.most}
    model = {'working_dir': str(settings.artefact.path.resolve()),
             'excludes': [settings.artefact.keras_file.name]}
    try:
        ray.init(address or 'local', runtime_env=model, log_to_driver=False,
                 logging_level=logging.WARNING, **({} if address else local))
    except Exception as e:
        raise ConfigError(f"Ray cannot be had at '{address}' ({type(e).__name__}: {e}); start it "
                          'on that machine (ray start --head), or leave ray_address empty to '
                          'start one here') from e


def _why(status: Any) -> str:
    deployment = status.deployments.get(DEPLOYMENT)
    return ' '.join(filter(None, (status.message, deployment and deployment.message)))
