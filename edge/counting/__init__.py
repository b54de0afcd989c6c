"""Turn detections into tracks, tracks into visits, and visits into counts per time window."""
