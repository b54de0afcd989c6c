"""Insert the windows of a batch that are not there yet, and add them to the hours, in one transaction.

Only a window that is new is added to its hours, so that each window counts once, whatever is sent again.
"""

from collections.abc import Mapping

from collector.postgresql.connection import Connection
from collector.postgresql.long_form import LongForm, window_columns
from collector.postgresql.progress import FileProgress, Progress

TEMPORARY_TABLES = b"""
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (LIKE facetally.windows) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_visits (LIKE facetally.window_visits) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS fresh (LIKE facetally.windows) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS pieces (
    site text, device text, boot text, seq bigint, hour timestamptz, seconds float8, fraction float8
) ON COMMIT DELETE ROWS;
"""
NEW_WINDOWS = b"""
WITH added AS (INSERT INTO windows SELECT * FROM incoming ON CONFLICT DO NOTHING RETURNING *)
INSERT INTO fresh SELECT * FROM added
"""
NEW_VISITS = b"""
INSERT INTO window_visits SELECT v.* FROM incoming_visits v JOIN fresh USING (site, device, boot, seq)
"""
PIECES = b"""
INSERT INTO pieces
SELECT site, device, boot, seq, hour, part, part / extract(epoch FROM end_time - start_time)::float8
FROM fresh
CROSS JOIN LATERAL generate_series(
    date_trunc('hour', start_time), end_time - interval '1 microsecond', interval '1 hour'
) AS hour
CROSS JOIN LATERAL (
    SELECT extract(epoch FROM least(end_time, hour + interval '1 hour') - greatest(start_time, hour))::float8 AS part
) AS parts
WHERE clock <> 'unsynced'
"""
HOURS = b"""
INSERT INTO hours AS h
SELECT site, device, hour, model_expression, label_set, count(*), sum(seconds), sum(seconds * coverage),
    sum(CASE WHEN degraded = '' THEN 0 ELSE seconds END), sum(visits * fraction),
    sum(doubtful_low * fraction), sum(doubtful_high * fraction)
FROM pieces JOIN fresh USING (site, device, boot, seq)
GROUP BY site, device, hour, model_expression, label_set
ON CONFLICT (site, device, hour, model_expression, label_set) DO UPDATE SET
    windows = h.windows + excluded.windows,
    seconds = h.seconds + excluded.seconds,
    watched_seconds = h.watched_seconds + excluded.watched_seconds,
    degraded_seconds = h.degraded_seconds + excluded.degraded_seconds,
    visits = h.visits + excluded.visits,
    doubtful_low = h.doubtful_low + excluded.doubtful_low,
    doubtful_high = h.doubtful_high + excluded.doubtful_high
"""
HOUR_VISITS = b"""
INSERT INTO hour_visits AS h
SELECT site, device, hour, model_expression, label_set, label, sum(v.visits * fraction)
FROM pieces
JOIN fresh USING (site, device, boot, seq)
JOIN incoming_visits v USING (site, device, boot, seq)
GROUP BY site, device, hour, model_expression, label_set, label
ON CONFLICT (site, device, hour, model_expression, label_set, label) DO UPDATE SET visits = h.visits + excluded.visits
"""
STALE = b"INSERT INTO stale_hours SELECT DISTINCT site, hour FROM pieces ON CONFLICT DO NOTHING"
DEVICES = b"INSERT INTO devices (site, device) SELECT DISTINCT site, device FROM fresh ON CONFLICT DO NOTHING"
STATEMENTS = (
    NEW_WINDOWS,
    NEW_VISITS,
    b"ANALYZE fresh",
    PIECES,
    b"ANALYZE pieces",
    HOURS,
    HOUR_VISITS,
    STALE,
    DEVICES,
)


def prepare(connection: Connection) -> None:
    """Make the temporary tables of this connection."""
    connection.execute(TEMPORARY_TABLES)


def insert(
    connection: Connection, rows: LongForm | None, progress: Progress, file: FileProgress, label_map: Mapping[str, str]
) -> int:
    """Insert rows and save the progress; return the number of windows that are new."""
    with connection.transaction():
        new = 0 if rows is None or not rows.rows else _insert_rows(connection, rows, label_map)
        progress.save(file)
    return new


def _insert_rows(connection: Connection, rows: LongForm, label_map: Mapping[str, str]) -> int:
    _insert_labels(connection, rows, label_map)
    with connection.cursor() as cursor:
        columns = ", ".join(window_columns()).encode()
        with cursor.copy(b"COPY incoming (" + columns + b") FROM STDIN (FORMAT csv)") as copy:
            copy.write(rows.windows)
        visits = b"COPY incoming_visits (site, device, boot, seq, label, visits) FROM STDIN (FORMAT csv)"
        with cursor.copy(visits) as copy:
            copy.write(rows.visits)
        cursor.execute(NEW_WINDOWS)
        new = cursor.rowcount
        if new:
            for statement in STATEMENTS[1:]:
                cursor.execute(statement)
    return new


def _insert_labels(connection: Connection, rows: LongForm, label_map: Mapping[str, str]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO labels (label_set, label, position, shown_as) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (label_set, label) DO NOTHING",
            [(rows.label_set, label, at, label_map.get(label, label)) for at, label in enumerate(rows.labels)],
        )
