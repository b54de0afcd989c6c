"""What holds for all tests."""

import os

os.environ["PATH"] += os.pathsep + "/usr/local/sbin:/usr/sbin"
"""Debian puts Mosquitto where only root looks."""
