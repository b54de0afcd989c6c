"""Delete windows of days that the store has deleted. Their hours and shares stay, as they do in the store."""

from pathlib import Path

from collector.postgresql.connection import Connection
from collector.store.load import sites
from collector.store.source_files import stored_days


def delete_retired(connection: Connection, root: Path) -> int:
    """Delete the windows that begin before the oldest day of the store, of its sites only; return their number.

    A store without a day deletes nothing: its disk may be missing.
    """
    days = sorted(stored_days(root))
    if not days:
        return 0
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM window_visits v USING windows w"
            " WHERE (v.site, v.device, v.boot, v.seq) = (w.site, w.device, w.boot, w.seq)"
            " AND w.site = ANY(%s) AND w.start_time < %s::timestamptz",
            [sites(root), days[0]],
        )
        cursor.execute(
            "DELETE FROM windows WHERE site = ANY(%s) AND start_time < %s::timestamptz", [sites(root), days[0]]
        )
        return cursor.rowcount
