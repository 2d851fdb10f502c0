"""The comparison of two scans as a job, for a thread."""

from collections.abc import Iterator

from napari_ctlns.events import Control, Event, Finished, Log, Started
from napari_ctlns.measurement.growth.table import comparing
from napari_ctlns.volume import Volume


def growth_job(
    scan: Volume,
    mask: Volume,
    later_scan: Volume,
    later_mask: Volume,
    days: float,
    control: Control,
) -> Iterator[Event]:
    """Do what `compare_scans` does, and stop between its steps if asked to.

    Yields
    ------
    Event
        `Finished` has ``growth``, a `Growth`.
    """
    yield Started(title="Compare nodules of two scans")
    steps = comparing(scan, mask, later_scan, later_mask, days)
    while not control.stop_requested():
        control.wait_while_paused()
        try:
            yield next(steps)
        except StopIteration as end:
            growth = end.value
            for words in growth.warnings:
                yield Log(message=words, level="warning")
            yield Finished(result={"growth": growth})
            return
    yield Finished(stopped=True)
