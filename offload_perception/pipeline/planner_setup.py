"""Set up the planner for a loaded network: which profile, which tables of sizes and costs."""

from dataclasses import dataclass

from offload_perception.codec.calibration import FILE as CALIBRATION_FILE
from offload_perception.codec.calibration import Calibration
from offload_perception.edgetpu.mapping import REPORT, CompileReport
from offload_perception.network.artefact import Artefact
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.session import PlanningSession
from offload_perception.planning.sizes import COSTS_FILE, SizeTable, load_costs
from offload_perception.profiles import device_profile
from offload_perception.profiles.device_profile import DeviceProfile
from offload_perception.runtime import quick_profile
from offload_perception.runtime.emulated import EmulatedNetwork
from offload_perception.runtime.loaded_network import LoadedNetwork


@dataclass(frozen=True)
class ProfileChoice:
    """Where the profile of this computer comes from.

    :ivar profile: name or path of a profile; empty = that of the emulated computer, or a quick
        measurement with the powers `active_w` and `sending_w` above idle.
    :ivar radio: name in `device_profile.RADIOS` of what replaces the profile's; empty = nothing.
    """

    profile: str
    active_w: float
    sending_w: float
    radio: str


def planning_session(network: LoadedNetwork, choice: ProfileChoice, settings: PlannerSettings,
                     compiled: CompileReport | None) -> PlanningSession:
    """Return a planner for the network, which it may run for a quick measurement.

    :raises PlanError: if there is no such profile, or it is of another network.
    """
    artefact = network.artefact
    shape = NetworkShape.of(artefact)
    sizes = SizeTable(shape)
    if (artefact.path / COSTS_FILE).is_file():
        sizes.load(load_costs(artefact.path))
    profile = _profile(network, shape, choice, compiled).with_radio(choice.radio)
    return PlanningSession(shape, profile, settings, sizes=sizes)


def _profile(network: LoadedNetwork, shape: NetworkShape, choice: ProfileChoice,
             compiled: CompileReport | None) -> DeviceProfile:
    if choice.profile:
        return device_profile.load(choice.profile)
    if isinstance(network, EmulatedNetwork):
        return network.profile
    return quick_profile.measure(network, shape, runtime=network.choice.runtime,
                         device=network.choice.device, active_w=choice.active_w,
                         sending_w=choice.sending_w, compiled=compiled)


def calibration(artefact: Artefact) -> Calibration | None:
    """Return the calibration of the lossy codecs for a model, if there is one."""
    found = (artefact.path / CALIBRATION_FILE).is_file()
    return Calibration.load(artefact) if found else None


def compile_report(network: LoadedNetwork) -> CompileReport | None:
    """Return what the compiler reported of the model, if that runs on an Edge TPU."""
    path = network.artefact.path
    on_chip = network.choice.device.startswith('edgetpu') and (path / REPORT).is_file()
    return CompileReport.load(path) if on_chip else None
