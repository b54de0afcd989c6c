"""Draw a PNG chart of windows: visits per expression over time, and their totals."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from base.errors import SettingsError
from collector.analysis.intervals import Span
from collector.analysis.summarise import by_time, gaps, label_columns, step_for, step_name
from collector.exports.palette import colours
from collector.store.intervals import Floats
from collector.store.load import labels

DAY_S = 86_400


def draw(frame: pd.DataFrame, out: Path, zone: ZoneInfo, span: Span | None = None) -> None:
    """Write a PNG of 1200 x 900 pixels from a table of `collector.store.load.load`; gaps are hatched.

    Raises SettingsError if the file cannot be written.
    """
    step_s = step_for(frame, span)
    table = by_time(frame, step_s, zone, span)
    figure = Figure(figsize=(8, 6), dpi=150, layout="constrained")
    over_time, totals = figure.subplots(2, 1, height_ratios=(3, 2))
    _draw_over_time(over_time, table, zone)
    over_time.set_title("Visits by apparent expression", loc="left")
    over_time.set_ylabel(f"visits per {step_name(step_s)}")
    _draw_totals(totals, frame[labels(frame)].sum())
    try:
        figure.savefig(out, format="png")
    except OSError as error:
        raise SettingsError(f"--chart {out}: {error.strerror or error}") from error


def _draw_over_time(axes: Axes, table: pd.DataFrame, zone: ZoneInfo) -> None:
    """Draw one stacked bar per bucket, as wide as the bucket."""
    left, width = _days(table.index), table["seconds"].to_numpy() / DAY_S
    bottom = pd.Series(0.0, index=table.index)
    for label, colour in colours(label_columns(table)).items():
        height = table[label].fillna(0)
        axes.bar(left, height, width, bottom, align="edge", color=colour, label=label, edgecolor="white", linewidth=0.4)
        bottom = bottom + height
    for number, gap in enumerate(gaps(table)):
        first, last = _days(pd.DatetimeIndex(gap))
        name = "no data" if number == 0 else None
        axes.axvspan(first, last, facecolor="none", edgecolor="#BBBBBB", hatch="///", linewidth=0, zorder=0, label=name)
    if len(table):
        axes.set_xlim(left[0], left[-1] + width[-1])
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    else:
        axes.text(0.5, 0.5, "no data", ha="center", va="center", transform=axes.transAxes)
    axes.set_ylim(0, max(1.0, float(bottom.max()) if len(bottom) else 0.0) * 1.08)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    locator = AutoDateLocator(tz=zone)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]
    axes.set_xlabel(str(zone))
    axes.spines[["top", "right"]].set_visible(False)


def _draw_totals(axes: Axes, totals: "pd.Series[float]") -> None:
    """Draw one bar per label with its number of visits."""
    names = [str(name) for name in totals.index]
    bars = axes.barh(names, totals.to_numpy(), color=list(colours(names).values()))
    axes.bar_label(bars, labels=[f"{value:.0f}" for value in totals], padding=3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_yaxis()
    axes.set_xlabel("visits (a person who is seen twice counts as two visits)")
    axes.spines[["top", "right"]].set_visible(False)


def _days(times: pd.Index) -> Floats:
    """Convert times to matplotlib's unit, days since 1970."""
    days: Floats = pd.DatetimeIndex(times).as_unit("us").asi8 / (DAY_S * 1e6)
    return days
