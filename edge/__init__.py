"""The edge daemon: counts facial expressions in camera frames; no image leaves its process."""
