"""Which columns a project cannot change, since its lake has rows with them."""

from anew.adapters._lake_frame import shape_of
from anew.adapters._lake_mark import shape_difference
from anew.app.settings import FILE, Settings
from anew.domain.errors import SettingsError

__all__ = ["keep_columns"]


def keep_columns(changed: Settings, begun: Settings) -> None:
    """Refuse settings with another model or other stored columns than the project has `begun` with.

    Raises
    ------
    SettingsError
        They have; what differs is named.
    """
    if changed.model != begun.model:
        raise SettingsError(f"{FILE}: the model is called {changed.model}, and this project began as {begun.model}")
    if told := shape_difference(shape_of(begun.columns), shape_of(changed.columns)):
        raise SettingsError(
            f"{FILE}: columns: a project keeps those that it began with ({told}); put them back, or begin another "
            "project beside this one"
        )
