"""The session that napari's menus mean.

napari hands its readers, writers and samples files and layer data, but not the
viewer that they are for: it is the one in front. Of a reader it does not say
either whether a person dropped files or a program asks for their layers.
"""

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ctlns.plugin.session import Session

_OPENS_FOR_A_PERSON = "_qt_open"
"""The method of napari's window that drops, menus, dialogs and its command line go through."""


def current_session() -> "Session | None":
    """Return the session of the viewer in front; None where there is no window."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return None
    from napari_ctlns.plugin.session import session_of

    return session_of(viewer)


def session_of_person() -> "Session | None":
    """Return the session of the window in which a person opens files just now.

    None where a program asks, as ``viewer.open`` in a script or in the console
    does: it waits for the layers. A window that is not shown counts as a program.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == _OPENS_FOR_A_PERSON:
            window = frame.f_locals.get("self")
            if window is not None and window.isVisible():
                from napari_ctlns.plugin.session import session_of

                return session_of(window.viewer)
        frame = frame.f_back
    return None
