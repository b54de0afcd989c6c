"""Windows -> a picture: visits per expression over time, and their totals."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from base.errors import SettingsError
from collector.analysis.summarise import FIGURES, Floats, Span, by_time, gaps, step_for, step_name
from collector.exports.palette import colours
from collector.store.load import labels

DAY_S = 86_400


def draw(frame: pd.DataFrame, out: Path, zone: ZoneInfo, span: Span | None = None) -> None:
    """A table of `collector.store.load.load` -> a PNG at ``out``, 1200 x 900 pixels; what nobody watched is hatched.
    SettingsError if it cannot be written.
    """
    step_s = step_for(frame, span)
    table = by_time(frame, step_s, zone, span)
    figure = Figure(figsize=(8, 6), dpi=150, layout="constrained")
    over_time, totals = figure.subplots(2, 1, height_ratios=(3, 2))
    _over_time(over_time, table, zone)
    over_time.set_title("Visits by apparent expression", loc="left")
    over_time.set_ylabel(f"visits per {step_name(step_s)}")
    _totals(totals, frame[labels(frame)].sum())
    try:
        figure.savefig(out, format="png")
    except OSError as error:
        raise SettingsError(f"--chart {out}: {error.strerror or error}") from error


def _over_time(axes: Axes, table: pd.DataFrame, zone: ZoneInfo) -> None:
    """Stacked bars, one a bucket, as wide as the bucket."""
    left, width = _days(table.index), table["seconds"].to_numpy() / DAY_S
    bottom = pd.Series(0.0, index=table.index)
    for label, colour in colours(labels(table.drop(columns=list(FIGURES)))).items():
        height = table[label].fillna(0)
        axes.bar(left, height, width, bottom, align="edge", color=colour, label=label, edgecolor="white", linewidth=0.4)
        bottom = bottom + height
    for number, run in enumerate(gaps(table)):
        first, last = _days(pd.DatetimeIndex(run))
        name = "no data" if number == 0 else None
        axes.axvspan(first, last, facecolor="none", edgecolor="#BBBBBB", hatch="///", linewidth=0, zorder=0, label=name)
    if len(table):
        axes.set_xlim(left[0], left[-1] + width[-1])
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    else:
        axes.text(0.5, 0.5, "no windows", ha="center", va="center", transform=axes.transAxes)
    axes.set_ylim(0, max(1.0, float(bottom.max()) if len(bottom) else 0.0) * 1.08)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    locator = AutoDateLocator(tz=zone)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]
    axes.set_xlabel(str(zone))
    axes.spines[["top", "right"]].set_visible(False)


def _totals(axes: Axes, totals: "pd.Series[float]") -> None:
    """One bar a label, with its number of visits."""
    names = [str(name) for name in totals.index]
    bars = axes.barh(names, totals.to_numpy(), color=list(colours(names).values()))
    axes.bar_label(bars, labels=[f"{value:.0f}" for value in totals], padding=3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_yaxis()
    axes.set_xlabel("visits (a track is not a person: somebody who looks twice is two visits)")
    axes.spines[["top", "right"]].set_visible(False)


def _days(times: pd.Index) -> Floats:
    """Times -> matplotlib's unit, days since 1970."""
    days: Floats = pd.DatetimeIndex(times).as_unit("us").asi8 / (DAY_S * 1e6)
    return days
