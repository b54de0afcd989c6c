"""Published data sets -> caches of labelled images and faces."""
