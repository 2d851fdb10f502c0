"""Take the pictures of the tutorial, and of the pages that tell of the same scans, anew.

``xvfb-run -a -s "-screen 0 1366x768x24" python tools/docs_pictures.py WORK`` runs the commands of
docs/tutorial.md in the folder WORK (minutes; what is there already is not made again), goes
through the same steps with the mouse in a real window, and writes docs/images. A picture is
written when the window shows what its page says; on another screen it may look a little different.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "images"
NODULE_MM = (-87.8, -21.7, -67.9)
"""The nodule that the tutorial clicks on, LPS (x, y, z)."""
UNSEEN = "chests/phantom-0002.mhd"
"""A scan that training leaves for the test."""
_PATIENCE_SECONDS = 300
_WIDE, _HIGH = 1366, 768
_LARGE_BYTES = 200_000


def tutorial_blocks(language: str) -> str:
    """Return what the tutorial shows in a language."""
    page = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    return "".join(re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL))


def tutorial_commands() -> list[list[str]]:
    """Return the commands of the tutorial that need no window, in their order."""
    lines = map(shlex.split, tutorial_blocks("sh").splitlines())
    return [words for words in lines if words[1] != "open"]


def run_commands(work: Path) -> None:
    """Run each command in the folder, unless what it writes is there."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "small.toml").write_text(tutorial_blocks("toml"), "utf-8")
    for words in tutorial_commands():
        if "--out" in words and (work / words[words.index("--out") + 1]).exists():
            continue
        print("$", shlex.join(words), flush=True)
        subprocess.run([sys.executable, "-m", "napari_ctlns", *words[1:]], cwd=work, check=True)


def write_small(picture: Any, path: Path) -> None:
    """Write a picture in few colours: it is looked at, not measured."""
    from PIL import Image

    from napari_ctlns.atomic import atomic_path

    few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    with atomic_path(path) as temporary:
        few.save(temporary, optimize=True)
    print(f"{path.name}, {path.stat().st_size // 1000} kB", flush=True)


def make_small(_work: Path) -> None:
    """Write those pictures in few colours that are large, such as those of the whole line."""
    from PIL import Image

    for path in PICTURES.glob("*.png"):
        if path.stat().st_size > _LARGE_BYTES:
            write_small(Image.open(path).convert("RGB"), path)


class Desk:
    """A person at a napari with panels: waits, clicks, looks."""

    def __init__(self, paths: list[Path], panels: tuple[str, ...]) -> None:
        from napari_ctlns.plugin.launching import open_window
        from napari_ctlns.plugin.session import session_of
        from napari_ctlns.plugin.settings import PLUGIN

        self.viewer = open_window(paths)
        self.viewer.window.resize(_WIDE, _HIGH)
        self.session = session_of(self.viewer)
        self._docks = {
            name: self.viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
            for name in panels
        }
        self.rest(1.0)

    def panel(self, name: str) -> Any:
        """Bring a panel to the front."""
        dock, panel = self._docks[name]
        dock.raise_()
        self.rest()
        return panel

    def rest(self, seconds: float = 0.3) -> None:
        """Let the window do what it has to do."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.005)

    def wait(self, until: Callable[[], object]) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not until():
            if time.monotonic() > end:
                raise TimeoutError("the window did not come to what its picture is to show")
            self.rest(0.1)

    def press(self, button: Any) -> None:
        """Press a button of a panel with the mouse."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        if not button.isEnabled():
            raise RuntimeError(f"{button.text()} cannot be pressed: {button.toolTip()}")
        place = QPoint(8, button.height() // 2)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton, pos=place)
        self.rest()

    def row(self, table: Any, row: int) -> None:
        """Click a row of a table."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        place = table.visualRect(table.model().index(row, 0)).center()
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        self.rest()

    def click(self, *places_mm: tuple[float, float, float]) -> None:
        """Click on the canvas at an LPS place (x, y, z); drag through several."""
        from qtpy.QtCore import QEvent, QPointF, Qt

        from napari_ctlns.plugin.canvas import lps_to_canvas

        canvas = self.viewer.window._qt_viewer.canvas
        transform = canvas.view.scene.transform
        grid = self.session.volume.geometry
        points = []
        for place in places_mm:
            _, y, x = lps_to_canvas(grid, place)
            points.append(QPointF(*transform.map((float(x), float(y), 0))[:2]))
        none, left = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton
        self._send(QEvent.Type.MouseMove, points[0], none, none)
        self._send(QEvent.Type.MouseButtonPress, points[0], left, left)
        for point in points[1:]:
            self._send(QEvent.Type.MouseMove, point, none, left)
        self._send(QEvent.Type.MouseButtonRelease, points[-1], left, none)

    def _send(self, kind: Any, at: Any, button: Any, held: Any) -> None:
        from qtpy.QtCore import QPointF, Qt
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtWidgets import QApplication

        canvas = self.viewer.window._qt_viewer.canvas.native
        everywhere = QPointF(canvas.mapToGlobal(at.toPoint()))
        no_key = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(canvas, QMouseEvent(kind, at, everywhere, button, held, no_key))
        self.rest(0.05)

    def go(self, place_mm: tuple[float, float, float], zoom: float) -> None:
        """Show a place, large."""
        from napari_ctlns.plugin.canvas import lps_to_canvas
        from napari_ctlns.plugin.navigation import go_to

        go_to(self.viewer, lps_to_canvas(self.session.volume.geometry, place_mm).tolist())
        self.viewer.scene.camera.zoom = zoom
        self.rest()

    def look(self, name: str) -> None:
        """Write a picture of the window."""
        from PIL import Image

        self.rest(0.8)
        pixels = self.viewer.window.screenshot(canvas_only=False, flash=False)
        write_small(Image.fromarray(pixels[..., :3]), PICTURES / f"{name}.png")

    def leave(self) -> None:
        """Close the window without a question."""
        self.viewer.close()
        self.rest()


def take_scan(work: Path) -> None:
    """Open, click, correct, measure: the first scan of the tutorial."""
    paths = [work / "chests" / "phantom-0000.mhd", work / "chests" / "annotations.csv"]
    desk = Desk(paths, ("Annotations", "Click", "Correct", "Nodules"))
    annotations = desk.panel("Annotations")
    desk.row(annotations.table, 0)
    desk.viewer.scene.camera.zoom = 4
    desk.look("tutorial-open")
    click = desk.panel("Click")
    desk.press(click.switch)
    desk.session.annotations.visible = False
    desk.go(NODULE_MM, 6)
    desk.click(NODULE_MM)
    desk.wait(lambda: desk.session.mask is not None and desk.session.mask.data.any())
    desk.rest(1.0)
    desk.look("tutorial-click")
    desk.press(click.switch)
    nodules = desk.panel("Nodules")
    desk.wait(lambda: nodules.table.model().rowCount() == 1 and not nodules.job_bar.working)
    correct = desk.panel("Correct")
    desk.press(correct.shape["grow"])
    desk.wait(lambda: "grown" in correct.status.text())
    desk.look("correct")
    desk.press(correct.undo)
    desk.session.mask.selected_label = 1
    nodules = desk.panel("Nodules")
    desk.wait(lambda: not desk.session.is_stale(desk.session.mask))
    desk.row(nodules.table, 0)
    desk.look("tutorial-nodules")
    desk.leave()


def take_model(work: Path) -> None:
    """Show the training, and what its model finds in a scan that it never saw."""
    desk = Desk([work / UNSEEN, work / "run"], ("Train", "Predict", "Nodules"))
    desk.panel("Train")
    desk.rest(3.0)
    desk.look("tutorial-train")
    predict = desk.panel("Predict")
    desk.session.choose_model(work / "run" / "best")
    desk.wait(lambda: predict.job_bar.button.isEnabled())
    desk.press(predict.job_bar.button)
    desk.wait(lambda: desk.session.mask is not None and not predict.job_bar.working)
    nodules = desk.panel("Nodules")
    desk.wait(lambda: nodules.table.model().rowCount() > 0 and not nodules.job_bar.working)
    desk.row(nodules.table, 0)
    desk.viewer.scene.camera.zoom = 4
    desk.panel("Predict")
    desk.look("tutorial-predict")
    desk.leave()


def learn(work: Path) -> None:
    """Let the model learn from four more chests, as if somebody had corrected them."""
    from napari_ctlns.dataset import add_correction
    from napari_ctlns.formats import read_mask_onto, read_scan
    from napari_ctlns.recipe import load_recipe

    program = [sys.executable, "-m", "napari_ctlns"]
    made = shlex.split("phantom --out more --scans 4 --seed 3 --spacing 2 1.5 1.5")
    subprocess.run([*program, *made], cwd=work, check=True)
    preparation = load_recipe(work / "small.toml").preparation
    for path in sorted((work / "more").glob("*.mhd")):
        scan = read_scan(path)
        mask = read_mask_onto(work / "more" / "masks" / f"{path.stem}.nii.gz", scan)
        add_correction(work / "dataset", scan, mask, "Dr. Ada", preparation)
    taught = shlex.split("learn dataset --from run/best --out taught --steps 300")
    subprocess.run([*program, *taught], cwd=work, check=True)


def take_learning(work: Path) -> None:
    """Show the question after a round of learning from corrections."""
    if not (work / "taught").exists():
        learn(work)
    desk = Desk([work / "run" / "best", work / "taught"], ("Train",))
    desk.panel("Train")
    desk.rest(3.0)
    desk.look("learning")
    desk.leave()


def crash(work: Path) -> None:
    """Click on a nodule and die when that has been kept."""
    from napari_ctlns.plugin.autosave import Autosave

    desk = Desk([work / "chests" / "phantom-0000.mhd"], ("Click",))
    desk.press(desk.panel("Click").switch)
    desk.go(NODULE_MM, 6)
    desk.click(NODULE_MM)
    desk.wait(lambda: desk.session.mask is not None and desk.session.mask.data.any())
    kept = desk.session.part(Autosave)
    desk.wait(lambda: kept.kept_at is not None)
    desk.rest(3.0)
    os._exit(1)


def take_recovery(work: Path) -> None:
    """Show what the next window offers after a crash."""
    subprocess.run([sys.executable, __file__, str(work), "crash"], check=False)
    os.environ["CTLNS_RECOVERY"] = str(work / "user" / "recovery")
    desk = Desk([], ())
    desk.rest(3.0)
    desk.look("recovery")
    desk.leave()


STEPS = {
    "commands": run_commands,
    "scan": take_scan,
    "model": take_model,
    "learning": take_learning,
    "recovery": take_recovery,
    "small": make_small,
}


def main() -> None:
    """Do all steps, or those that are named; each in a process of its own."""
    work = Path(sys.argv[1]).resolve()
    named = sys.argv[2:]
    # settings and kept work of these windows, not the person's; what crashes is for one alone
    own = work / "user"
    os.environ["NAPARI_CONFIG"] = str(own / "napari.yaml")
    os.environ["CTLNS_RECOVERY"] = str(own / ("recovery" if named[:1] == ["crash"] else "kept"))
    if named == ["crash"]:
        crash(work)
    elif len(named) == 1:
        STEPS[named[0]](work)
    else:
        for step in named or STEPS:
            subprocess.run([sys.executable, __file__, str(work), step], check=True)


if __name__ == "__main__":
    main()
