"""The session that napari's menus mean.

napari hands its readers, writers and samples files and layer data, but not the
viewer that they are for: it is the one in front.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ctlns.plugin.session import Session


def current_session() -> "Session | None":
    """Return the session of the viewer in front; None where there is no window."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return None
    from napari_ctlns.plugin.session import session_of

    return session_of(viewer)
