import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.errors import RecipeError
from napari_ctlns.recipe import Recipe, builtin_recipes, load_recipe, parse_changes


def test_the_default_comes_first_and_is_what_the_design_says() -> None:
    assert builtin_recipes()[0] == "ct-lns"
    recipe = load_recipe("ct-lns")
    assert recipe.name == "ct-lns"
    assert recipe.preparation.spacing_mm == 1.0
    assert recipe.preparation.clip_hu == (-1000, 400)
    assert recipe.network.norm == "batch"
    assert recipe.augmentation.flip_axes == ("z", "y", "x")
    assert recipe.window == (96, 96, 96)
    assert Recipe(name="mine").window == Recipe(name="mine").patches.size


@pytest.mark.parametrize(
    "changes",
    [{"network.norm": "instance"}, {"network.name": "swin-unetr", "network.channels": (24,)}],
)
def test_a_network_that_depends_on_its_window_keeps_that_of_its_patches(
    changes: dict[str, Any],
) -> None:
    recipe = load_recipe("ct-lns").with_changes(changes | {"patches.size": (64, 64, 64)})
    assert recipe.inference.window == (96, 96, 96)
    assert recipe.window == (64, 64, 64)


@pytest.mark.parametrize("name", builtin_recipes())
def test_built_in_recipes_survive_toml(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    path = tmp_path / "mine.toml"
    path.write_text(recipe.to_toml(), "utf-8")
    assert load_recipe(path) == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


spacings = st.one_of(
    st.floats(0.1, 5),
    st.tuples(*[st.floats(0.1, 5)] * 3),
    st.just("native"),
)


@given(spacings, st.integers(1, 50), st.floats(0, 1), st.one_of(st.none(), st.just((8, 16, 24))))
def test_any_recipe_survives_toml(spacing: Any, batch: int, share: float, window: Any) -> None:
    recipe = load_recipe("ct-lns").with_changes(
        {
            "preparation.spacing_mm": spacing,
            "optimisation.batch_size": batch,
            "patches.nodule_fraction": share,
            "inference.window": window,
        }
    )
    assert Recipe.model_validate(tomllib.loads(recipe.to_toml())) == recipe


def test_changes_do_not_touch_the_original() -> None:
    recipe = load_recipe("ct-lns")
    changed = recipe.with_changes({"optimisation.epochs": 3, "network.channels": [8, 16]})
    assert (changed.optimisation.epochs, changed.network.channels) == (3, (8, 16))
    assert recipe == load_recipe("ct-lns")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimisation.epoch": 3}, "optimisation.epoch: no such key"),
        ({"epochs": 3}, "epochs: no such key"),
        ({"optimisation.epochs.x": 3}, "no such key"),
        ({"optimisation.epochs": 0}, "optimisation.epochs: .*greater than or equal to 1"),
        ({"preparation.spacing_mm": -1}, "preparation.spacing_mm"),
        ({"preparation.spacing_mm": "fine"}, "preparation.spacing_mm"),
        ({"preparation.clip_hu": (400, -1000)}, "lower, higher"),
        ({"patches.size": (60, 64, 64)}, "patches.size .* must be multiples of 8"),
        ({"inference.window": (64, 64, 65)}, "inference.window .* must be multiples of 8"),
        ({"network.channels": (16,)}, "network: channels"),
        ({"augmentation.flip_axes": ("z", "w")}, "augmentation.flip_axes"),
        ({"optimisation.learning_rate": float("inf")}, "optimisation.learning_rate.*finite"),
        ({"preparation.spacing_mm": float("inf")}, "preparation.spacing_mm"),
        ({"preparation.clip_hu": (float("nan"), 400)}, "preparation.clip_hu"),
        ({"name": "a/b"}, "name"),
    ],
)
def test_impossible_values_are_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe("ct-lns").with_changes(changes)


def test_assignments_are_typed() -> None:
    texts = ["a.b=3", "c=true", "d = [1, 2.5]", "e=cosine", 'f="x=y"', "g="]
    values = {"a.b": 3, "c": True, "d": [1, 2.5], "e": "cosine", "f": "x=y", "g": ""}
    assert parse_changes(texts) == values
    with pytest.raises(RecipeError, match=r"section\.key=value"):
        parse_changes(["epochs"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "is not TOML"),
        ('name = "x"\nepochs = 3', "epochs: no such key"),
        ('name = "x"\n[patches]\nsize = [8, 8]', "patches.size"),
        ("", "name"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(RecipeError, match=words):
        load_recipe(path)


def test_unknown_names_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no recipe ct-lnz; take one of ct-lns"):
        load_recipe("ct-lnz")
    with pytest.raises(RecipeError, match="cannot read recipe"):
        load_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network.name": "vnet"}, "network.name: .*'unet', 'attention-unet'"),
        ({"loss.name": "hinge"}, "loss.name: .*'tversky'"),
        ({"preparation.spacing_mm": "thin"}, "spacing_mm: .*number.* or .*'native'"),
        ({"network.name": "swin-unetr"}, "network: channels .* one multiple of 12"),
        ({"network.name": "attention-unet", "network.norm": "instance"}, 'norm .* "batch"'),
        ({"network.dimensions": 2}, r"must have 65 slices, an odd number"),
        ({"patches.around": (32, 96, 96)}, "patches.around .* no smaller than patches.size"),
        ({"patches.sampling": "slices"}, "needs network.dimensions 2"),
        ({"optimisation.accumulation": 3}, "optimisation.accumulation must divide"),
        ({"search": {"loss.weight": {"low": 1, "high": 2}}}, "search.loss.weight: no such key"),
        ({"search": {"loss.ce_weight": {"low": 2, "high": 1}}}, "a greater high"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe("ct-lns").with_changes(changes)


def test_an_unknown_key_is_answered_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[network]\nchanels = [8, 16]\n', "utf-8")
    with pytest.raises(RecipeError, match=r"network.chanels: no such key; did you mean channels\?"):
        load_recipe(path)


@pytest.mark.parametrize("name", ["luna-2.5d", "lungnet-2d"])
def test_networks_of_2_dimensions_take_slices_as_channels(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.network.dimensions == 2
    assert recipe.in_channels == recipe.patches.size[0] == recipe.window[0]
    assert recipe.network.steps[0] == 1
