"""What File > Open Sample offers."""

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.current import current_session
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.windowing import opening_window


def phantom_chest() -> list[of.LayerTuple]:
    """Return a slab of a synthetic chest CT and the annotations of its eight nodules.

    Nodules from 4 to 20 mm, isolated, on vessels and on the pleura; making it
    takes some two seconds. There is no mask: that is what a person makes of it.
    """
    from napari_ctlns.phantom import PhantomSpec, make_phantom

    current_session()  # which places the camera when the scan comes
    spec = PhantomSpec(
        seed=7, spacing=(2.5, 1.25, 1.25), extent_mm=(150.0, 260.0, 340.0), n_nodules=8
    )
    phantom = make_phantom(spec)
    volume = phantom.volume
    window = opening_window(volume, read_settings().window)
    return [
        of.scan_tuple(volume, window),
        of.annotations_tuple(phantom.annotations, volume.geometry, volume.scan_id),
    ]
