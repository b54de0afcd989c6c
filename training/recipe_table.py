"""Print all recipe keys as Markdown tables, from the docstrings of `training.recipe`."""

import ast
import inspect
from collections.abc import Iterator

import msgspec

from training.recipe import CheckRecipe, ClassifierRecipe, Common, DetectorRecipe

SECTIONS = {
    Common: "Keys of all tasks",
    DetectorRecipe: "Keys of a detector",
    CheckRecipe: "Keys of a face check",
    ClassifierRecipe: "Keys of a classifier",
}


def markdown() -> str:
    """Four tables: key, type, default, meaning."""
    parts = []
    for struct, title in SECTIONS.items():
        head = [f"### {title}", "", "| key | type | default | meaning |", "|---|---|---|---|"]
        parts.append("\n".join([*head, *_rows(struct)]))
    return "\n\n".join(parts)


def _rows(struct: type[msgspec.Struct]) -> Iterator[str]:
    """A row for each key that a struct itself declares."""
    defaults = {field.name: field for field in msgspec.structs.fields(struct)}
    for name, annotation, meaning in _declared(struct):
        field = defaults[name]
        if field.default_factory is not msgspec.NODEFAULT:
            default = _toml(field.default_factory())
        else:
            default = "required" if field.required else _toml(field.default)
        yield f"| `{name}` | {_type_name(annotation)} | {default} | {meaning} |"


def _declared(struct: type[msgspec.Struct]) -> Iterator[tuple[str, str, str]]:
    """Name, annotation and docstring of the keys in the source of a struct."""
    (tree,) = ast.parse(inspect.getsource(struct)).body
    assert isinstance(tree, ast.ClassDef)
    for field, following in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(following, ast.Expr):
            assert isinstance(field.target, ast.Name) and isinstance(following.value, ast.Constant)
            meaning = " ".join(str(following.value.value).split()).replace("``", "`")
            yield field.target.id, ast.unparse(field.annotation), meaning


def _type_name(annotation: str) -> str:
    """An annotation in the words of a TOML user."""
    if annotation.startswith("Literal["):
        values = ast.literal_eval(annotation.removeprefix("Literal"))
        return " or ".join(f'`"{value}"`' for value in (values if isinstance(values, list) else [values]))
    names = {
        "str": "text",
        "int": "integer",
        "str | None": "text",
        "bool": "true or false",
        "float": "number",
        "Positive": "integer > 0",
        "NotNegative": "integer >= 0",
        "Fraction": "number, 0 to 1",
        "tuple[str, ...]": "list of texts",
    }
    if annotation in names:
        return names[annotation]
    return next((text for start, text in PREFIXES.items() if annotation.startswith(start)), annotation)


PREFIXES = {
    "tuple[Positive": "four integers > 0",
    "Annotated[tuple[str, ...], Meta(min_length=1)]": "list of texts",
    "dict[str, dict": "table of tables",
    "dict[str, Annotated": "table of numbers > 0",
    "Annotated[float, Meta(ge=0)]": "number >= 0",
    "Annotated[float, Meta(gt=0, le=10)]": "number > 0, <= 10",
    "Annotated[float, Meta(ge=-20, le=20)]": "number, -20 to 20",
    "Annotated[float, Meta(gt=-0.5, le=0.75)]": "number > -0.5, <= 0.75",
    "Annotated[float, Meta(gt=-0.5": "number > -0.5, <= 0.3",
    "Annotated[int, Meta(ge=0, lt=5)]": "integer, 0 to 4",
}
"""Words for the longer annotations, by their beginning."""


def _toml(value: object) -> str:
    """A default value as in TOML."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"
