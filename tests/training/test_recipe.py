"""Recipes: errors are named before anything is trained."""

import os

import pytest

from tests.support.drawings import RECIPE, draw_cache
from tests.support.training_commands import run

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_a_wrong_recipe_is_named(tmp_path):
    """A typo in a recipe ends with exit code 2 and names the file, the key and what is allowed."""
    (tmp_path / "bad.toml").write_text(RECIPE.replace("steps", "stepps"))
    done = run("training", "train", tmp_path / "bad.toml", "--run", tmp_path, code=2)
    assert "bad.toml: unknown key 'model.stepps'; allowed: " in done.stderr


def test_the_table_of_keys_holds_all_of_them():
    """Each key of all tasks has one row with type, default and meaning."""
    import msgspec

    from training.recipe import CheckRecipe, ClassifierRecipe, DetectorRecipe
    from training.recipe_table import markdown

    rows = [line.strip("| ").split(" | ") for line in markdown().splitlines() if line.startswith("| `")]
    structs = (CheckRecipe, ClassifierRecipe, DetectorRecipe)
    names = {field.name for struct in structs for field in msgspec.structs.fields(struct)}
    assert {row[0].strip("`") for row in rows} == names
    assert {len(row) for row in rows} == {4}


def test_a_renamed_key_is_named_with_its_new_name(tmp_path):
    """A recipe with a former key is refused, and the message says what the key is called now."""
    from base.errors import SettingsError
    from training import recipe

    (tmp_path / "old.toml").write_text(RECIPE.replace("augment_strength", "vary"))
    with pytest.raises(SettingsError, match=r"old.toml: key 'model.vary' is now called 'model.augment_strength'"):
        recipe.read(tmp_path / "old.toml")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("model.start=nowhere",), "nowhere/recipe.json: "),
        (("model.start={run}", "model.network=plain"), "model.start: {run} has model.network cnn, must be plain"),
        (
            ("model.start={run}", "model.precision=mixed_bfloat16"),
            "has model.precision float32, must be mixed_bfloat16",
        ),
        (
            ("model.start={run}", "model.labels={{good={{happiness=1}}, bad={{anger=1}}, so={{neutral=1}}}}"),
            "model.labels",
        ),
        (("model.teachers=['nowhere']",), "nowhere/recipe.json: "),
        (("model.align=eyes",), "model.align"),
        (("model.margin=0.4",), "model.margin"),
    ],
    ids=["no run", "network", "precision", "labels", "no teacher", "align", "margin"],
)
def test_what_does_not_fit_the_recipe_is_named(trained, tmp_path, changes, says):
    """A start or teacher that does not fit, and a value that is not allowed, end with exit code 2 and a message."""
    draw_cache(tmp_path / "cache.npz")
    options = [word for change in changes for word in ("--set", change.format(run=trained))]
    done = run("training", "train", trained / "mood.toml", "--run", tmp_path, *options, code=2)
    assert says.format(run=trained) in done.stderr


def test_a_run_is_continued_with_its_own_recipe_only(trained):
    """Another recipe would continue the old checkpoint, and is refused. More steps and other words are allowed."""
    import msgspec

    from base.errors import SettingsError
    from training import recipe

    kept, text = recipe.read_run_recipe(trained), (trained / "recipe.json").read_bytes()
    msgspec.structs.replace(kept, steps=kept.steps, data="Mine.").save_to(trained)
    with pytest.raises(SettingsError, match=r"holds the checkpoint of another recipe \(model.seed was \d+\)"):
        msgspec.structs.replace(kept, seed=99).save_to(trained)
    (trained / "recipe.json").write_bytes(text)
