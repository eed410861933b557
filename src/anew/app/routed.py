"""The routing of a project as it was signed, from its folder alone."""

from pathlib import Path

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.signing import Signer
from anew.app.status import state_folder
from anew.domain.errors import ConflictError, NotFoundError
from anew.domain.facts import TrafficShifted

__all__ = ["routed", "traffic_of"]


def routed(project: Path) -> TrafficShifted:
    """Return the routing in force, as it was signed; raises as `traffic_of` does."""
    traffic, model = traffic_of(project)
    routing = traffic.published(model)
    if routing is None:
        raise NotFoundError(f"{model} was never served here")
    return routing


def traffic_of(project: Path) -> tuple[FileTraffic, str]:
    """Return the project's routing files and the name of its one model.

    Raises
    ------
    NotFoundError
        The project was never brought up, or never served, or its key is not here.
    ConflictError
        There is routing of several models.
    """
    state = state_folder(project)
    models = sorted(path.stem for path in (state / "routing").glob("*.json"))
    if not models:
        raise NotFoundError(f"{state} holds no routing: no model was ever served here; is this the project's folder?")
    if len(models) > 1:
        raise ConflictError(f"{state} holds the routing of {', '.join(models)}; a project has one model")
    if not (state / "keys" / "signing.key").is_file():
        raise NotFoundError(f"there is no signing key in {state / 'keys'}: nobody can order the gateways without it")
    signer = Signer.load(state / "keys")
    return FileTraffic(state, verifier=signer.verifier, signer=signer), models[0]
