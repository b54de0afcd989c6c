-- Views with one row per label, zeros included.

CREATE VIEW counts AS
SELECT w.site, w.device, w.boot, w.seq, w.start_time, w.end_time, w.clock, w.label_set, l.label,
    coalesce(v.visits, 0) AS visits
FROM windows w
JOIN labels l USING (label_set)
LEFT JOIN window_visits v USING (site, device, boot, seq, label);
COMMENT ON VIEW counts IS 'One row per window and label of its label set. 0 means that nobody was counted under the label.';
COMMENT ON COLUMN counts.site IS 'The shop.';
COMMENT ON COLUMN counts.device IS 'The unit in the shop.';
COMMENT ON COLUMN counts.boot IS 'As in windows.';
COMMENT ON COLUMN counts.seq IS 'As in windows.';
COMMENT ON COLUMN counts.start_time IS 'Start of the window.';
COMMENT ON COLUMN counts.end_time IS 'End of the window, not part of it.';
COMMENT ON COLUMN counts.clock IS 'As in windows.';
COMMENT ON COLUMN counts.label_set IS 'The labels that the classifier has, see labels.';
COMMENT ON COLUMN counts.label IS 'An expression, or unknown.';
COMMENT ON COLUMN counts.visits IS 'Visits counted under the label.';

CREATE VIEW hour_counts AS
SELECT h.site, h.device, h.hour, h.model_expression, h.label_set, l.label,
    coalesce(v.visits, 0) AS visits
FROM hours h
JOIN labels l USING (label_set)
LEFT JOIN hour_visits v USING (site, device, hour, model_expression, label_set, label);
COMMENT ON VIEW hour_counts IS 'One row per row of hours and label of its label set. 0 means that nobody was counted under the label.';
COMMENT ON COLUMN hour_counts.site IS 'The shop.';
COMMENT ON COLUMN hour_counts.device IS 'The unit in the shop.';
COMMENT ON COLUMN hour_counts.hour IS 'Start of the hour.';
COMMENT ON COLUMN hour_counts.model_expression IS 'Name and hash of the classifier.';
COMMENT ON COLUMN hour_counts.label_set IS 'The labels that the classifier has, see labels.';
COMMENT ON COLUMN hour_counts.label IS 'An expression, or unknown.';
COMMENT ON COLUMN hour_counts.visits IS 'Visits counted under the label.';

CREATE VIEW site_hours AS
SELECT site, hour, label_set, sum(windows)::bigint AS windows, sum(watched_seconds) AS watched_seconds,
    sum(visits) AS visits, sum(doubtful_low) AS doubtful_low, sum(doubtful_high) AS doubtful_high
FROM hours
GROUP BY site, hour, label_set;
COMMENT ON VIEW site_hours IS 'One row per site, hour and label set.';
COMMENT ON COLUMN site_hours.site IS 'The shop.';
COMMENT ON COLUMN site_hours.hour IS 'Start of the hour.';
COMMENT ON COLUMN site_hours.label_set IS 'The labels that the classifier has, see labels.';
COMMENT ON COLUMN site_hours.windows IS 'Windows that touch the hour.';
COMMENT ON COLUMN site_hours.watched_seconds IS 'Time in which the cameras were watched, summed over the devices.';
COMMENT ON COLUMN site_hours.visits IS 'Visits of all labels, unknown included.';
COMMENT ON COLUMN site_hours.doubtful_low IS 'How many of the visits may be none.';
COMMENT ON COLUMN site_hours.doubtful_high IS 'How many of the visits may be two.';
