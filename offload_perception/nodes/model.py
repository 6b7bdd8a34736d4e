"""Load what a node runs: the model and its chain on the chosen runtime, warmed up."""

import time

from offload_perception.config import EdgeConfig, RemoteConfig
from offload_perception.model.artefact import Artefact
from offload_perception.model.prepare import prepare
from offload_perception.nodes.managed import ManagedNode
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import resolve


def load_artefact(node: ManagedNode, config: EdgeConfig | RemoteConfig) -> Artefact:
    """Return the prepared model; the first time this can take minutes, and the log says so."""
    log = node.get_logger()
    artefact = prepare(config.model, config.weights, labels=config.labels or None,
                       progress=log.info)
    trained = '' if artefact.trained else '; UNTRAINED: its labels mean nothing'
    log.info(f'model {artefact.name} ({artefact.weights}), digest '
             f'{artefact.digest[:12]}{trained}')
    return artefact


def load_chain(node: ManagedNode, config: EdgeConfig | RemoteConfig, artefact: Artefact) -> Chain:
    """Return the artefact's chain of segments, warmed up."""
    started = time.monotonic()
    chain = Chain(artefact, resolve(config.device, config.runtime), threads=config.threads)
    chain.warm_up()
    log = node.get_logger()
    if chain.choice.fallback:
        log.warning(f'{chain.choice.fallback}')
    log.info(f'{chain.describe()}; loaded and warm after {time.monotonic() - started:.1f} s')
    return chain
