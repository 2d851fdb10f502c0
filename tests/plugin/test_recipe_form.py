"""A recipe as a form."""

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QComboBox, QPushButton, QWidget

from napari_ctlns.errors import RecipeError
from napari_ctlns.plugin.views.recipe_form import FEW, RecipeForm
from napari_ctlns.recipe import ImportedNetwork, Network, Recipe, builtin_recipes, load_recipe


@pytest.fixture
def form(qtbot: QtBot) -> RecipeForm:
    form = RecipeForm()
    qtbot.addWidget(form)
    form.show_recipe(load_recipe("ct-lns"))
    return form


@pytest.fixture
def whole(form: RecipeForm) -> RecipeForm:
    return unfolded(form)


def unfolded(form: RecipeForm) -> RecipeForm:
    for fold in (form.more, *form.sections.values()):
        fold.expand()
    return form


def keys_of(recipe: Recipe) -> set[str]:
    values = recipe.model_dump(exclude={"search": True, "network": {"imported"}})
    return {
        f"{section}.{name}" if isinstance(value, dict) else section
        for section, value in values.items()
        for name in (value if isinstance(value, dict) else [""])
    }


def write(qtbot: QtBot, form: RecipeForm, key: str, text: str) -> None:
    """Write as a person does."""
    widget: QWidget = form.field(key).native
    widget.setFocus()
    widget.selectAll()
    qtbot.keyClicks(widget, text)
    qtbot.keyClick(widget, Qt.Key.Key_Tab)


def test_every_field_of_a_recipe_has_a_row(whole: RecipeForm) -> None:
    for key in keys_of(load_recipe("ct-lns")):
        tooltip = whole.field(key).native.toolTip()
        assert key in tooltip
        assert len(tooltip) > len(key) + 1, f"{key} is not explained"


def test_only_a_few_are_made_at_first(form: RecipeForm) -> None:
    for key in FEW:
        assert form.field(key)
    with pytest.raises(KeyError):
        form.field("network.norm")


def test_a_section_is_made_when_it_is_unfolded(form: RecipeForm) -> None:
    form.more.expand()
    form.sections["Network"].expand()
    assert form.field("network.norm")
    with pytest.raises(KeyError):
        form.field("augmentation.noise")
    field = form.field("network.norm")
    form.sections["Network"].collapse()
    form.sections["Network"].expand()
    assert form.field("network.norm") is field


@pytest.mark.parametrize("name", builtin_recipes())
def test_every_recipe_can_be_shown(whole: RecipeForm, name: str) -> None:
    recipe = load_recipe(name)
    whole.show_recipe(recipe)
    assert whole.problem == ""
    assert whole.recipe() == recipe


def test_a_form_left_alone_gives_the_recipe_exactly(qtbot: QtBot) -> None:
    recipe = load_recipe("ct-lns").with_changes(
        {
            "inference.window": None,
            "preparation.spacing_mm": "native",
            "inference.overlap": 0.123456789,  # finer than its control
            "network.dropout": 0.99999,  # nearer to its bound
            "optimisation.ema_decay": 0.9999,
            "optimisation.weight_decay": 1e-9,
            "optimisation.seed": -5,
        }
    )
    form = RecipeForm()
    qtbot.addWidget(form)
    unfolded(form)
    form.show_recipe(recipe)
    assert form.recipe() == recipe


def test_what_is_written_is_in_the_recipe(whole: RecipeForm, qtbot: QtBot) -> None:
    for key, text, value in (
        ("optimisation.epochs", "3", 3),
        ("optimisation.learning_rate", "3e-4", 3e-4),
        ("patches.size", "32, 32, 48", (32, 32, 48)),
        ("inference.window", "", None),
        ("preparation.spacing_mm", "[2.5, 1, 1]", (2.5, 1, 1)),
        ("preparation.spacing_mm", "native", "native"),
        ("augmentation.flip_axes", '["x"]', ("x",)),
        ("description", "12", "12"),
        ("name", "mine", "mine"),
    ):
        if text:
            write(qtbot, whole, key, text)
        else:
            whole.field(key).native.clear()
        assert whole.problem == "", key
        section, _, name = key.rpartition(".")
        recipe = whole.recipe()
        assert getattr(getattr(recipe, section) if section else recipe, name) == value
    whole.field("network.norm").native.setCurrentText("instance")
    write(qtbot, whole, "optimisation.ema_decay", "0.9995")
    assert whole.recipe().optimisation.ema_decay == 0.9995
    whole.field("optimisation.shuffle").native.click()
    assert whole.recipe().network.norm == "instance"
    assert not whole.recipe().optimisation.shuffle


def test_numbers_to_choose_from_are_numbers(whole: RecipeForm, qtbot: QtBot) -> None:
    native = whole.field("network.dimensions").native
    assert isinstance(native, QComboBox)
    assert [native.itemText(i) for i in range(native.count())] == ["2", "3"]
    native.setCurrentText("2")
    write(qtbot, whole, "patches.size", "1, 64, 64")
    write(qtbot, whole, "inference.window", "1, 64, 64")
    assert whole.problem == ""
    assert whole.recipe().network.dimensions == 2


def test_numbers_stay_in_their_range(whole: RecipeForm, qtbot: QtBot) -> None:
    for key, low, high in (
        ("inference.threshold", 0, 1),
        ("network.dropout", 0, 0.999),
        ("optimisation.plateau_factor", 0.001, 0.999),
        ("optimisation.epochs", 1, None),
    ):
        native = whole.field(key).native
        assert native.minimum() == pytest.approx(low)
        if high is not None:
            assert native.maximum() == pytest.approx(high)


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("optimisation.learning_rate", "-1", "optimisation.learning_rate: "),
        ("optimisation.learning_rate", "quick", "optimisation.learning_rate: "),
        ("patches.size", "60, 64, 64", "multiples of 8"),
        ("patches.size", "[64", "patches.size"),
        ("preparation.clip_hu", "[400, -1000]", "must be (lower, higher)"),
        ("name", "a b", "name: "),
    ],
)
def test_what_is_not_allowed_is_marked_and_said(
    whole: RecipeForm, qtbot: QtBot, key: str, text: str, words: str
) -> None:
    write(qtbot, whole, key, text)
    assert words in whole.problem
    assert "in the changed recipe" not in whole.problem
    with pytest.raises(RecipeError, match=r"\w"):
        whole.recipe()
    marked = [
        k for k in keys_of(load_recipe("ct-lns")) if whole.field(k).native.property("problem")
    ]
    assert key in marked
    assert whole.problem in whole.field(key).native.toolTip()


def test_reset_takes_the_recipes_values_again(whole: RecipeForm, qtbot: QtBot) -> None:
    (reset,) = [b for b in whole.findChildren(QPushButton) if b.text() == "Reset"]
    assert not reset.isEnabled()
    write(qtbot, whole, "patches.size", "60, 64, 64")
    assert reset.isEnabled()
    with qtbot.waitSignal(whole.changed):
        reset.click()
    assert whole.problem == ""
    assert not whole.field("patches.size").native.property("problem")
    assert whole.recipe() == load_recipe("ct-lns")


def test_the_wheel_scrolls_and_changes_nothing(form: RecipeForm, qtbot: QtBot) -> None:
    form.show()
    epochs = form.field("optimisation.epochs").native
    form.field("patches.size").native.setFocus()
    turn = QWheelEvent(
        QPointF(5, 5),
        QPointF(epochs.mapToGlobal(QPoint(5, 5))),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(epochs, turn)
    assert form.recipe().optimisation.epochs == 100


def test_an_imported_model_can_be_shown_but_not_chosen(whole: RecipeForm) -> None:
    network = Network(name="imported", imported=ImportedNetwork(format="onnx"))
    model = load_recipe("ct-lns").model_copy(update={"network": network})
    whole.show_recipe(model)
    assert whole.recipe() == model
    whole.show_recipe(load_recipe("ct-lns"))
    native = whole.field("network.name").native
    assert isinstance(native, QComboBox)
    native.setCurrentText("imported")
    assert "import-model" in whole.problem
