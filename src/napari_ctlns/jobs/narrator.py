"""What a job says, in lines for a person."""

from collections.abc import Iterator

from napari_ctlns.events import Event, Log, Metric, Progress, Saved, Started

# One for each step of a training: for plots, too many for a person to read.
_METRICS_OF_STEPS = "train/"


class Narrator:
    """Turns events into lines; the metrics of one moment share a line."""

    def __init__(self) -> None:
        self._scores: dict[str, Metric] = {}

    def lines(self, event: Event) -> Iterator[str]:
        """Give the lines to print on this event; Progress has none."""
        if isinstance(event, Metric):
            if not event.name.startswith(_METRICS_OF_STEPS):
                self._scores[event.name] = event
            return
        if self._scores and not isinstance(event, Progress):
            step = max(metric.step for metric in self._scores.values())
            values = ", ".join(f"{m.name} {m.value:.4g}" for m in self._scores.values())
            self._scores = {}
            yield f"step {step}: {values}"
        if isinstance(event, Started):
            yield event.title
        elif isinstance(event, Log):
            yield f"warning: {event.message}" if event.level == "warning" else event.message
        elif isinstance(event, Saved) and event.kind != "checkpoint":
            yield f"saved {event.path}"
