-- Tables of version 1. The schema facetally exists.

CREATE TABLE windows (
    site text NOT NULL,
    device text NOT NULL,
    boot text NOT NULL,
    seq bigint NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    clock text NOT NULL,
    coverage double precision NOT NULL,
    degraded text NOT NULL,
    merged bigint NOT NULL,
    privacy_k bigint NOT NULL,
    model_detector text NOT NULL,
    model_expression text NOT NULL,
    label_set text NOT NULL,
    visits bigint NOT NULL,
    doubtful_low bigint NOT NULL,
    doubtful_high bigint NOT NULL,
    PRIMARY KEY (site, device, boot, seq)
);
CREATE INDEX windows_by_time ON windows (site, start_time);
COMMENT ON TABLE windows IS 'One row per window: a span of time of one device, usually a minute. Zero visits with coverage above 0 mean that nobody came; a missing row means no data.';
COMMENT ON COLUMN windows.site IS 'The shop.';
COMMENT ON COLUMN windows.device IS 'The unit in the shop.';
COMMENT ON COLUMN windows.boot IS '16 hexadecimal digits, random per start of the device''s daemon.';
COMMENT ON COLUMN windows.seq IS 'Number of the window in its boot, from 0. Site, device, boot and seq are the key.';
COMMENT ON COLUMN windows.start_time IS 'Start of the window; the column start of the store.';
COMMENT ON COLUMN windows.end_time IS 'End of the window, not part of it; the column end of the store.';
COMMENT ON COLUMN windows.clock IS 'synced; restamped: corrected later; unsynced: do not trust the times; replay: times of a file.';
COMMENT ON COLUMN windows.coverage IS 'Fraction of the window in which the camera was watched, 0 to 1.';
COMMENT ON COLUMN windows.degraded IS 'Reasons for a lower coverage, joined with |; empty if none.';
COMMENT ON COLUMN windows.merged IS 'How many windows were joined into this one under the privacy rule, 1 or more.';
COMMENT ON COLUMN windows.privacy_k IS 'Windows with fewer visits than this are joined until a quarter of an hour ends.';
COMMENT ON COLUMN windows.model_detector IS 'Name and hash of the face detector.';
COMMENT ON COLUMN windows.model_expression IS 'Name and hash of the classifier.';
COMMENT ON COLUMN windows.label_set IS 'The labels that the classifier has, see labels.';
COMMENT ON COLUMN windows.visits IS 'Visits of all labels, unknown included.';
COMMENT ON COLUMN windows.doubtful_low IS 'How many of the visits may be none.';
COMMENT ON COLUMN windows.doubtful_high IS 'How many of the visits may be two.';

CREATE TABLE window_visits (
    site text NOT NULL,
    device text NOT NULL,
    boot text NOT NULL,
    seq bigint NOT NULL,
    label text NOT NULL,
    visits bigint NOT NULL,
    PRIMARY KEY (site, device, boot, seq, label)
);
COMMENT ON TABLE window_visits IS 'Visits of a window by label, without zeros. Use the view counts, which has the zeros.';
COMMENT ON COLUMN window_visits.site IS 'The shop.';
COMMENT ON COLUMN window_visits.device IS 'The unit in the shop.';
COMMENT ON COLUMN window_visits.boot IS 'As in windows.';
COMMENT ON COLUMN window_visits.seq IS 'As in windows.';
COMMENT ON COLUMN window_visits.label IS 'An expression, or unknown.';
COMMENT ON COLUMN window_visits.visits IS 'Visits counted under the label, 1 or more.';

CREATE TABLE labels (
    label_set text NOT NULL,
    label text NOT NULL,
    position integer NOT NULL,
    shown_as text NOT NULL,
    PRIMARY KEY (label_set, label)
);
COMMENT ON TABLE labels IS 'The labels of each label set. Visits of two label sets have no common total.';
COMMENT ON COLUMN labels.label_set IS '32 hexadecimal digits that follow from the labels; the API gives the first 8.';
COMMENT ON COLUMN labels.label IS 'An expression, or unknown: the face was never seen well enough.';
COMMENT ON COLUMN labels.position IS 'Order of the labels, from 0; unknown is last.';
COMMENT ON COLUMN labels.shown_as IS 'Name of the label on the page, by page.label_map of the collector.';

CREATE TABLE hours (
    site text NOT NULL,
    device text NOT NULL,
    hour timestamptz NOT NULL,
    model_expression text NOT NULL,
    label_set text NOT NULL,
    windows bigint NOT NULL,
    seconds double precision NOT NULL,
    watched_seconds double precision NOT NULL,
    degraded_seconds double precision NOT NULL,
    visits double precision NOT NULL,
    doubtful_low double precision NOT NULL,
    doubtful_high double precision NOT NULL,
    PRIMARY KEY (site, device, hour, model_expression, label_set)
);
CREATE INDEX hours_by_time ON hours (hour);
COMMENT ON TABLE hours IS 'One row per device, hour and classifier. All figures may be summed. Windows that reach into the next hour are divided in proportion to time; windows with an unsynced clock are left out.';
COMMENT ON COLUMN hours.site IS 'The shop.';
COMMENT ON COLUMN hours.device IS 'The unit in the shop.';
COMMENT ON COLUMN hours.hour IS 'Start of the hour.';
COMMENT ON COLUMN hours.model_expression IS 'Name and hash of the classifier.';
COMMENT ON COLUMN hours.label_set IS 'The labels that the classifier has, see labels.';
COMMENT ON COLUMN hours.windows IS 'Windows that touch the hour.';
COMMENT ON COLUMN hours.seconds IS 'Time of these windows within the hour.';
COMMENT ON COLUMN hours.watched_seconds IS 'Time in which the camera was watched. Coverage is the sum of it, divided by 3600 per hour and device.';
COMMENT ON COLUMN hours.degraded_seconds IS 'Time with a reason for seeing less.';
COMMENT ON COLUMN hours.visits IS 'Visits of all labels, unknown included.';
COMMENT ON COLUMN hours.doubtful_low IS 'How many of the visits may be none.';
COMMENT ON COLUMN hours.doubtful_high IS 'How many of the visits may be two.';

CREATE TABLE hour_visits (
    site text NOT NULL,
    device text NOT NULL,
    hour timestamptz NOT NULL,
    model_expression text NOT NULL,
    label_set text NOT NULL,
    label text NOT NULL,
    visits double precision NOT NULL,
    PRIMARY KEY (site, device, hour, model_expression, label_set, label)
);
COMMENT ON TABLE hour_visits IS 'Visits of an hour by label, without zeros. Use the view hour_counts, which has the zeros.';
COMMENT ON COLUMN hour_visits.site IS 'The shop.';
COMMENT ON COLUMN hour_visits.device IS 'The unit in the shop.';
COMMENT ON COLUMN hour_visits.hour IS 'Start of the hour.';
COMMENT ON COLUMN hour_visits.model_expression IS 'Name and hash of the classifier.';
COMMENT ON COLUMN hour_visits.label_set IS 'As in hours.';
COMMENT ON COLUMN hour_visits.label IS 'An expression, or unknown.';
COMMENT ON COLUMN hour_visits.visits IS 'Visits counted under the label, above 0.';

CREATE TABLE devices (
    site text NOT NULL,
    device text NOT NULL,
    state text NOT NULL DEFAULT 'unknown',
    boot text,
    seen timestamptz,
    counted timestamptz,
    model_detector text,
    model_expression text,
    PRIMARY KEY (site, device)
);
COMMENT ON TABLE devices IS 'Last known state of each device.';
COMMENT ON COLUMN devices.site IS 'The shop.';
COMMENT ON COLUMN devices.device IS 'The unit in the shop.';
COMMENT ON COLUMN devices.state IS 'online, stopping, offline or unknown.';
COMMENT ON COLUMN devices.boot IS 'Boot of the last message.';
COMMENT ON COLUMN devices.seen IS 'Time of the last message.';
COMMENT ON COLUMN devices.counted IS 'Latest end of its windows.';
COMMENT ON COLUMN devices.model_detector IS 'Name and hash of the present face detector.';
COMMENT ON COLUMN devices.model_expression IS 'Name and hash of the present classifier.';

CREATE TABLE shares (
    period text NOT NULL,
    start_date date NOT NULL,
    site text NOT NULL,
    label_set text NOT NULL,
    label text NOT NULL,
    visits double precision NOT NULL,
    share double precision,
    corrected double precision,
    low double precision,
    high double precision,
    PRIMARY KEY (period, start_date, site, label_set, label)
);
COMMENT ON TABLE shares IS 'Shares of expressions by site and day, week or month, corrected for the errors of the classifier. Intervals cannot be summed or averaged: choose the period.';
COMMENT ON COLUMN shares.period IS 'day, week (from Monday) or month, in the time zone of state.';
COMMENT ON COLUMN shares.start_date IS 'First day of the period.';
COMMENT ON COLUMN shares.site IS 'The shop.';
COMMENT ON COLUMN shares.label_set IS 'The labels that the classifier has, see labels.';
COMMENT ON COLUMN shares.label IS 'An expression; unknown is no true expression and has no share.';
COMMENT ON COLUMN shares.visits IS 'Visits as counted.';
COMMENT ON COLUMN shares.share IS 'Their share of all classified visits, 0 to 1.';
COMMENT ON COLUMN shares.corrected IS 'Corrected share, 0 to 1; null where the device reports no confusion matrix.';
COMMENT ON COLUMN shares.low IS 'Lower end of the 90 % interval of the corrected share.';
COMMENT ON COLUMN shares.high IS 'Upper end of the 90 % interval of the corrected share.';

CREATE TABLE stale_hours (
    site text NOT NULL,
    hour timestamptz NOT NULL,
    PRIMARY KEY (site, hour)
);
COMMENT ON TABLE stale_hours IS 'Hours of which the shares must be computed again. Usually empty after a pass.';
COMMENT ON COLUMN stale_hours.site IS 'The shop.';
COMMENT ON COLUMN stale_hours.hour IS 'Start of the hour.';

CREATE TABLE state (
    name text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE state IS 'What the shares were computed with: the time zone, and a hash of the confusion matrices of each site.';
COMMENT ON COLUMN state.name IS 'zone, or matrices: followed by a site.';
COMMENT ON COLUMN state.value IS 'Name of the zone, or the hash.';

CREATE TABLE store_files (
    store text NOT NULL,
    path text NOT NULL,
    bytes bigint NOT NULL,
    lines bigint NOT NULL,
    tail text NOT NULL,
    modified bigint NOT NULL,
    size bigint NOT NULL,
    damage text,
    PRIMARY KEY (store, path)
);
COMMENT ON TABLE store_files IS 'How far each file of a store was read. Rows may be deleted: the files are then read again, and nothing is counted twice.';
COMMENT ON COLUMN store_files.store IS 'Machine and folder of the store.';
COMMENT ON COLUMN store_files.path IS 'Path below the store.';
COMMENT ON COLUMN store_files.bytes IS 'Bytes that were read.';
COMMENT ON COLUMN store_files.lines IS 'Lines that were read, the header included.';
COMMENT ON COLUMN store_files.tail IS 'Hash of the end of what was read. It shows whether the file has only grown.';
COMMENT ON COLUMN store_files.modified IS 'Time of the file''s last change, nanoseconds since 1970.';
COMMENT ON COLUMN store_files.size IS 'Bytes of the file when it was found.';
COMMENT ON COLUMN store_files.damage IS 'What was left out of the file, and why; null if nothing.';
