"""The main job shown on one machine: a clip of passers-by, a broker, the daemon, the collector, a chart."""
