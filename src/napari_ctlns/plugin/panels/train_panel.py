"""The Train panel: choose data and a recipe, train in a detached run, watch any run."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.theme import get_theme
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QWidget

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Event, Failed, Finished, Log, Metric, Preview, Progress
from napari_ctlns.jobs import RunFollower
from napari_ctlns.jobs.run_folder import is_live
from napari_ctlns.plugin.before_training import BeforeTraining
from napari_ctlns.plugin.curves import RunCurves, place_in_words, speed_in_words
from napari_ctlns.plugin.learning_rounds import LearningRounds
from napari_ctlns.plugin.run_watcher import RunWatcher
from napari_ctlns.plugin.runs import (
    best_model_of,
    ending_in_words,
    has_checkpoint,
    more_to_do,
    picture_of,
    recipe_of_run,
    resume_spec,
    runs_folder,
    why_not_resume,
)
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.teaching import is_learning, resume_learning
from napari_ctlns.plugin.training import Plan
from napari_ctlns.plugin.training_start import TrainingStart, open_layers
from napari_ctlns.plugin.views.controls import in_a_row, set_ready
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.views.run_bar import RunBar
from napari_ctlns.plugin.views.teaching_view import ModelOffer, TeachingView
from napari_ctlns.plugin.views.train_settings import TrainSettings
from napari_ctlns.plugin.words import breakable, plain_place
from napari_ctlns.plugin.work import under_way

if TYPE_CHECKING:
    import napari

    from napari_ctlns.plugin.views.run_view import RunView
    from napari_ctlns.specs import LearnSpec

_ATTACH = "Watch a training that was started anywhere, or that ended"
_RESUME = "Go on with this run from its last checkpoint"
_LEAVE = "Watch this run no longer; a training goes on"
_LEAST_WIDTH = 324
_MS_BEFORE_VIEW = 1500
_WAIT = "A training is being prepared; cancel that first"


class TrainPanel(Panel):
    """Starts trainings and watches them; a training needs neither panel nor napari."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self.setMinimumWidth(_LEAST_WIDTH)
        self._session = session_of(napari_viewer)
        self._preferences = read_settings()
        self._watcher: RunWatcher | None = None
        self._was_live = False
        self._curves = RunCurves()
        self._epochs: int | None = None
        self._end: Finished | Failed | None = None
        self._view: RunView | None = None
        self._view_later = QTimer(self)
        self._view_later.setSingleShot(True)
        self._view_later.timeout.connect(self._prepare_view)
        self._lay_out()
        self._connect()
        self._show_open_layers()
        self._take_up()
        # neither now, because napari is to open fast, nor when a training starts
        self._view_later.start(_MS_BEFORE_VIEW)

    # -- layout -------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._settings = TrainSettings(self._preferences)
        self._before = BeforeTraining(self._session, self._settings, self)
        self._fold = self.add_fold("Data and settings", self._settings)
        self._fold.expand()
        view, offer = TeachingView(), ModelOffer()
        self._rounds = LearningRounds(self._session, view, offer, self._preferences, self)
        self.add_fold("Learn from corrections", view)
        self._run = QLabel()
        self._run.setWordWrap(True)
        self.add(self._run)
        self.add(self._run_buttons())
        self._bar = RunBar("Start training", "Train in a run of its own, which outlives napari")
        self.add_foot(self._bar)
        self.add_foot(offer)

    def _run_buttons(self) -> QWidget:
        self._attach_button = QPushButton("Attach to a run…")
        self._resume = QPushButton("Resume")
        self._leave = QPushButton("Leave")
        return in_a_row(self._attach_button, self._resume, self._leave)

    def _connect(self) -> None:
        session = self._session
        self._settings.changed.connect(self._settle)
        self._before.trouble.connect(self._say_trouble)
        self._rounds.wanted.connect(self._begin_round)
        self._rounds.answered.connect(self._bar.say)
        self._rounds.trouble.connect(self._say_trouble)
        self._bar.start_clicked.connect(self._start)
        self._bar.ended.connect(self._on_end)
        self._attach_button.clicked.connect(self._choose_run)
        self._resume.clicked.connect(self._go_on)
        self._leave.clicked.connect(self._forget_run)
        session.layers_changed.connect(self._show_open_layers)
        session.mask_changed.connect(self._show_open_layers)
        session.run_changed.connect(self._attach)
        session.viewer.events.theme.connect(self._take_theme)

    # -- what can be done ---------------------------------------------------------

    def _show_open_layers(self) -> None:
        self._settings.show_open(open_layers(self._session))

    def _settle(self) -> None:
        """Let every button be clicked that can be, and say of the others why not."""
        self._bar.set_ready(self._settings.why_not())
        self._before.settle(idle=self._fold.isExpanded() and not self._bar.working)
        self._rounds.settle(busy=self._bar.working)
        starting = self._bar.working and self._watcher is None
        set_ready(self._attach_button, _WAIT if starting else "", _ATTACH)
        set_ready(self._resume, self._why_not_resume(), _RESUME)
        set_ready(self._leave, "" if self._watcher is not None else "No run is watched", _LEAVE)

    def _why_not_resume(self) -> str:
        if self._watcher is None:
            return "Attach to a run that ended to go on with it"
        return why_not_resume(self._watcher.run, self._end, self._settings.optimisation)

    # -- starting -----------------------------------------------------------------

    def _start(self) -> None:
        self._show_open_layers()  # their arrays may be others by now
        try:
            plan = self._settings.plan()
        except CtlnsError as error:
            self._say_trouble(str(error))
            return
        self._begin(plan)

    def _go_on(self) -> None:
        if self._watcher is None:
            return
        try:
            run = self._watcher.run
            if is_learning(run):
                self._begin(Plan(resume_learning(run, self._settings.device)))
                return
            changes = more_to_do(run, self._end, self._settings.optimisation)
            spec = resume_spec(run, self._settings.device, changes)
        except CtlnsError as error:
            self._say_trouble(str(error))
            return
        self._begin(Plan(spec))

    def _begin_round(self, spec: "LearnSpec") -> None:
        self._begin(Plan(spec))

    def _begin(self, plan: Plan) -> None:
        start = TrainingStart(plan, self._session)
        self._follow_start(start)
        start.begin()

    def _follow_start(self, start: TrainingStart) -> None:
        self._drop_watcher()
        self._bar.place, self._bar.facts = plain_place, str
        self._bar.follow(start)
        self._show_watched()

    def _say_trouble(self, words: str) -> None:
        self._bar.say(words, trouble=True)

    # -- watching -----------------------------------------------------------------

    def _take_up(self) -> None:
        """Show what was going on before this panel was opened."""
        start = under_way(self._session, TrainingStart)
        if start is not None:
            self._follow_start(start)
        else:
            self._attach(self._session.run)

    def _choose_run(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, "Attach to a run", str(runs_folder(self._preferences.working_folder))
        )
        if not folder:
            return
        try:
            RunFollower(Path(folder))
        except CtlnsError as error:
            self._say_trouble(str(error))
        else:
            self._session.watch_run(Path(folder))

    def _forget_run(self) -> None:
        self._session.watch_run(None)

    def _attach(self, run: Path | None) -> None:
        self._drop_watcher()
        if run is not None:
            self._watch(run)
        self._show_watched()

    def _show_watched(self) -> None:
        """Show the run that is watched, or room for choices while there is none."""
        watcher = self._watcher
        self._run.setText(breakable(f"Run: {watcher.run.name}") if watcher else "")
        self._run.setToolTip(str(watcher.run) if watcher else "")
        self._run.setVisible(watcher is not None)
        if self._view is not None:
            self._view.setVisible(watcher is not None)
        if watcher is not None:
            self._fold.collapse()
        else:
            self._fold.expand()
        self._settle()

    def _watch(self, run: Path) -> None:
        try:
            watcher = RunWatcher(run, self)
        except CtlnsError as error:
            self._say_trouble(str(error))
            return
        self._watcher, self._was_live = watcher, is_live(run)
        self._curves = RunCurves()
        self._read_epochs()
        watcher.came.connect(self._hear)
        watcher.state_changed.connect(self._bar.show_state)
        self._bar.place, self._bar.facts = self._place, self._facts
        self._bar.follow(watcher)
        view = self._make_view()
        view.plot.show_curves(self._curves)
        view.pictures.clear()
        if self._settings.folder.path == run:
            self._settings.folder.set_path(None)  # the next run needs another

    def _drop_watcher(self) -> None:
        self._bar.unfollow()
        self._rounds.forget()
        self._end = None
        if self._watcher is not None:
            self._watcher.leave()
            self._watcher.deleteLater()
            self._watcher = None

    def _prepare_view(self) -> None:
        if not self._session.gone:
            self._make_view()

    def _make_view(self) -> "RunView":
        if self._view is None:
            # pyqtgraph costs as much as the rest of the panel
            from napari_ctlns.plugin.views.run_view import RunView

            self._view = RunView()
            self._view.plot.drawn.connect(self._bar.refresh)
            self._view.setVisible(self._watcher is not None)
            self.add(self._view)
            self._take_theme()
        return self._view

    def _take_theme(self) -> None:
        if self._view is not None:
            theme = get_theme(self._session.viewer.theme)
            self._view.plot.set_colours(theme.background.as_hex(), theme.text.as_hex())

    def _hear(self, event: Event) -> None:
        if isinstance(event, Metric):
            self._curves.add(event)
            if self._view is not None:
                self._view.plot.freshen()
        elif isinstance(event, Preview) and self._watcher is not None and self._view is not None:
            self._view.pictures.add(picture_of(self._watcher.run, event))
        elif isinstance(event, Log):
            self._read_epochs()  # one that is resumed may do more

    def _read_epochs(self) -> None:
        recipe = recipe_of_run(self._watcher.run) if self._watcher is not None else None
        self._epochs = recipe.optimisation.epochs if recipe is not None else None

    def _place(self, progress: Progress) -> str:
        return place_in_words(progress, self._curves, self._epochs)

    def _facts(self) -> str:
        return speed_in_words(self._curves)

    def _on_end(self, event: Finished | Failed) -> None:
        if self._watcher is not None:
            self._end = event
            self._say_end(self._watcher, event)
        elif isinstance(event, Finished) and event.stopped:
            self._bar.say("Cancelled; no training was started")
        self._settle()

    def _say_end(self, watcher: RunWatcher, event: Finished | Failed) -> None:
        words = ending_in_words(
            event,
            died=watcher.died,
            killed=watcher.killed,
            checkpoint=has_checkpoint(watcher.run),
        )
        learning = is_learning(watcher.run)
        if learning:
            words = self._rounds.end(watcher.run, event) or words
        self._bar.say(words, trouble=isinstance(event, Failed) and not watcher.killed)
        model = best_model_of(watcher.run)
        # a run that ended long ago does not change what a person chose since
        if model is not None and not learning and (self._was_live or self._session.model is None):
            self._session.choose_model(model)
