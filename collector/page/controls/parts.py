"""Parts that the page is made of: named controls and places for tables."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import html

Options = list[dict[str, str]]


def placeholder(name: str, label: str) -> html.Div:
    """Return where a table goes. Wide tables scroll inside it, by keyboard too."""
    return html.Div(id=name, className="scroll", tabIndex="0", role="region", **named(label))


def named(label: str) -> dict[str, Any]:
    """Return the name of a part of the page for screen readers."""
    return {"aria-label": label}


def date(name: str, label: str) -> html.Div:
    """Return a control for a date that shows only with custom dates."""
    field = dbc.Input(id=name, type="date")
    return html.Div([html.Label(label, htmlFor=name, className="label"), field], className="dates")


def radio(name: str, label: str, options: dict[str, str], value: str, **more: Any) -> html.Fieldset:
    """Return radio buttons with a legend."""
    choices = [{"label": text, "value": key} for key, text in options.items()]
    buttons = dbc.RadioItems(choices, value, id=name, inline=True, **more)
    return html.Fieldset([html.Legend(label, className="label"), buttons])


def checklist(name: str, label: str, options: Options) -> html.Fieldset:
    """Return check boxes with a legend, none of them checked."""
    return html.Fieldset([html.Legend(label, className="label"), dbc.Checklist(options, [], id=name)])


def text_button(text: str, **data: str) -> html.Button:
    """Return a button that looks like a link; ``data`` are the attributes that `assets/page.js` reads."""
    attributes: dict[str, Any] = {f"data-{name}": value for name, value in data.items()}
    return html.Button(text, type="button", className="link", **attributes)


def select(name: str, label: str, options: Options, value: str, **more: Any) -> html.Div:
    """Return a drop-down list with a label."""
    return html.Div([html.Label(label, htmlFor=name, className="label"), dbc.Select(options, value, id=name)], **more)
