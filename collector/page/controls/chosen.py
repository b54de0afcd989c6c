"""The cells that a selection and its reference stand for. The page and the report show the same."""

from dataclasses import dataclass
from datetime import timedelta

from collector.analysis.breakdown import break_down
from collector.analysis.confusion import Matrices
from collector.analysis.fleet_period import FleetPeriod
from collector.analysis.headline import Headline, Period, headline, is_hourly, site_headlines
from collector.analysis.intervals import Span, bucket_edges, prorated, with_known_time
from collector.analysis.label_sets import LabelSet, with_label_set
from collector.analysis.receipt import LONGEST_READ, Receipt, receipt
from collector.analysis.summarise import TIME_STEPS
from collector.page.controls.selection import InvalidSelection, Selection
from collector.reading.reader import Reader
from collector.store.intervals import Floats

SPARK_BY_DAY = timedelta(days=3)
SPARK_BY_WEEK = timedelta(days=92)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Cells of a selection and of its reference, of one label set."""

    now: Period
    before: Period
    sets: list[LabelSet]
    """The label sets of the selection, the chosen one first."""
    matrices: Matrices

    @property
    def set_name(self) -> str | None:
        """Name of the chosen label set, None without one."""
        return self.sets[0].name if self.sets else None


def existing(reader: Reader, selection: Selection) -> Selection:
    """Return a selection. Raises InvalidSelection for a site that does not exist."""
    known = reader.sites()
    asked = [*selection.sites, *([selection.controls.other] if selection.controls.other else [])]
    missing = [site for site in asked if site not in known]
    if missing:
        language = selection.language
        raise InvalidSelection(
            language.gettext(
                "There is no site {sites}. Sites: {known}.",
                sites=", ".join(missing), known=", ".join(known) or language.gettext("none"),
            )
        )  # fmt: skip
    return selection


def choose(reader: Reader, selection: Selection) -> Chosen:
    """Return the cells of a selection and of its reference, of the label set that is selected."""
    reference = selection.reference()
    frame, sets = with_label_set(
        reader.cells(selection.span, selection.zone, selection.sites), selection.controls.set or None
    )
    set_name = sets[0].name if sets else None
    before, _ = with_label_set(reader.cells(reference.span, reference.zone, reference.sites), set_name)
    if reference.span != selection.span:
        before = prorated(before, reference.span)
    return Chosen(Period(frame, selection.span), Period(before, reference.span), sets, reader.matrices())


def choose_fleet(reader: Reader, selection: Selection) -> tuple[FleetPeriod, FleetPeriod, list[LabelSet]] | None:
    """Return a selection of all sites and its reference as sums, and the label sets; None if it must be read."""
    if selection.sites:
        return None
    reference, hourly = selection.reference(), is_hourly(selection.span)
    found = reader.fleet(selection.span, selection.zone, selection.controls.set or None, hourly=hourly)
    if found is None:
        return None
    now, sets = found
    before = reader.fleet(
        reference.span, reference.zone, sets[0].name if sets else None,
        hourly=hourly, prorate=reference.span != selection.span, site=next(iter(reference.sites), ""),
    )  # fmt: skip
    if before is None or before[0].names is not now.names:  # cells of two lengths, which number devices differently
        return None
    return now, before[0], sets


def headline_of(chosen: Chosen, selection: Selection, label: str | None) -> Headline:
    """Return the figures of the first screen."""
    return headline(
        chosen.now, chosen.before, chosen.matrices, label, selection.zone,
        same_cameras=selection.controls.against != "site",
    )  # fmt: skip


def headlines_by_site(chosen: Chosen, selection: Selection, label: str | None) -> dict[str, Headline]:
    """Return the figures of each site; a site is compared with itself, or with nothing if sites are compared."""
    same_site = selection.controls.against == "site"
    earlier = chosen.before if not same_site else Period(chosen.now.frame.iloc[:0], chosen.now.span)
    return site_headlines(chosen.now, earlier, chosen.matrices, label, selection.zone)


def receipt_of(reader: Reader, chosen: Chosen, selection: Selection) -> Receipt:
    """Return the derivation of the figures of a selection."""
    windows = None
    if selection.span[1] - selection.span[0] <= LONGEST_READ:
        windows = with_label_set(reader.windows(selection.span, selection.sites), chosen.set_name)[0]
    return receipt(chosen.now, windows, chosen.matrices, reader.devices(), selection.zone)


def over_time(period: Period, selection: Selection) -> dict[str, Floats]:
    """Return visits of each site by hour, day or week, for sparklines."""
    by = _spark_step(period.span)
    if period.frame.empty:
        return {}
    table = break_down(period.frame, ["site", by], selection.zone, period.span)  # type: ignore[list-item]
    return {str(site): part.to_numpy(float) for site, part in table["visits"].groupby(level="site")}


def fleet_over_time(period: FleetPeriod, selection: Selection) -> dict[str, Floats]:
    """Return the same for all sites of a store."""
    edges = bucket_edges(
        with_known_time(period.frame), TIME_STEPS[_spark_step(period.span)], selection.zone, period.span
    )
    return period.site_visits(edges)


def _spark_step(span: Span) -> str:
    length = span[1] - span[0]
    return "hour" if length <= SPARK_BY_DAY else "day" if length <= SPARK_BY_WEEK else "week"
