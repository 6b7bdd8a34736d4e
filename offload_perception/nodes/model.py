"""Load what a node runs: the model and its chain on the chosen runtime, warmed up."""

import time

from offload_perception.bringup.config import NetworkConfig
from offload_perception.network.artefact import Artefact
from offload_perception.nodes.managed import AnyManagedNode
from offload_perception.preparation.apart import building_apart
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.loaded_network import LoadedNetwork
from offload_perception.runtime.open_network import open_network


def load_artefact(node: AnyManagedNode, config: NetworkConfig) -> Artefact:
    """Return the prepared model; the first time this can take minutes, and the log says so."""
    log = node.get_logger()
    artefact = prepare(config.model, config.weights, labels=config.labels or None,
                       preprocess=config.preprocess or None,
                       task='' if config.task == 'auto' else config.task,
                       fit=None if config.fit == 'model' else config.fit,
                       progress=node.progress, build=building_apart(node.raise_if_cancelled))
    trained = '' if artefact.trained else '; UNTRAINED: its labels mean nothing'
    log.info(f'model {artefact.name} ({artefact.weights}), digest '
             f'{artefact.digest[:12]}{trained}')
    if artefact.doubt:
        log.warning(artefact.doubt)
    return artefact


def load_network(node: AnyManagedNode, config: NetworkConfig,
                 artefact: Artefact) -> LoadedNetwork:
    """Return the artefact on the device and runtime that the parameters ask for, warmed up."""
    started, log = time.monotonic(), node.get_logger()
    node.progress(f'loading {artefact.name} and warming it up')
    network = open_network(
        artefact, config.device, config.runtime, config.threads,
        edgetpu_devices=config.edgetpu_devices, edgetpu_performance=config.edgetpu_performance,
        on_change=log.warning)
    log.info(f'{network.describe()}; loaded and warm after {time.monotonic() - started:.1f} s')
    if network.doubt:
        log.warning(network.doubt)
    return network
