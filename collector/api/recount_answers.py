"""Parameters and responses of the recount routes, as structs."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from collector.api.answers import Id, Query
from collector.language.language import Language
from collector.recount.recount import Agreement, Recount
from collector.recount.recounts import State
from collector.sentences.devices import recount_result


class RecountsQuery(Query, frozen=True, kw_only=True):
    """Which recounts: all, or those of a site or a device; and the format of the response."""

    site: Id | None = None
    device: Id | None = None
    format: Literal["json", "csv"] = "json"


class RecountAnswer(Recount, frozen=True, kw_only=True):
    """A recount, how far both numbers agree (null if nobody came), and all of it as a sentence."""

    agreement: Agreement | None
    sentence: str

    @classmethod
    def of(cls, recount: Recount, language: Language) -> "RecountAnswer":
        """Return the response for a recount, with its sentence in a language."""
        fields = {name: getattr(recount, name) for name in Recount.__struct_fields__}
        return cls(**fields, agreement=recount.ratio_interval(), sentence=recount_result(recount, language))


class RecountsAnswer(Struct, frozen=True, kw_only=True):
    """Recounts, the latest last."""

    recounts: list[RecountAnswer]


class SessionAnswer(Struct, frozen=True, kw_only=True):
    """What the server knows of a session.

    ``state`` is ``waiting`` until all taps and the device's windows have arrived, then ``compared``, or
    ``not_comparable`` if no window lies within the session.
    """

    id: str
    state: State
    revision: int
    """Revision that is kept; higher than the one sent if a later one is known."""
    taps: int
    now: datetime
    """Time of this server, with which the phone corrects its clock."""
    result: RecountAnswer | None
