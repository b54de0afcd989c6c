"""Windows -> messages that reach the collector, whatever happens to disk, network and broker."""
