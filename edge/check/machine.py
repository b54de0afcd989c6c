"""Check the machine: free disk, clock and temperature."""

import shutil
from pathlib import Path

from edge.check.result import Finding
from edge.settings import SpoolSettings
from edge.system.clock import is_synchronised
from edge.system.health import temperature_c, throttled
from edge.system.thermal import HOT_C

MIN_FREE_MB = 16.0
"""With less free space SQLite and the system's own logs get into trouble."""


def disk(settings: SpoolSettings) -> Finding:
    """Compare the free space on the spool's file system with what the spool may take."""
    spool = Path(settings.path)
    folder = next(each for each in (spool.absolute().parent, *spool.absolute().parents) if each.is_dir())
    free_mb = shutil.disk_usage(folder).free / 1e6
    used_mb = spool.stat().st_size / 1e6 if spool.is_file() else 0.0
    text = f"{free_mb:.0f} MB free in {folder}; the spool may grow to {settings.max_mb:g} MB (spool.max_mb)"
    figures = {"free_mb": round(free_mb, 1), "spool_mb": round(used_mb, 3)}
    if free_mb < MIN_FREE_MB:
        return Finding(f"{text}; must be at least {MIN_FREE_MB:g}", "FAILED", figures)
    return Finding(text, "warning" if free_mb + used_mb < settings.max_mb + MIN_FREE_MB else "ok", figures)


def clock() -> Finding:
    """Tell whether the clock is synchronised."""
    if is_synchronised():
        return Finding("synchronised")
    return Finding("not synchronised yet; windows wait, or are marked as unsynced", "warning")


def temperature() -> Finding:
    """Read the processor's temperature, and whether a Raspberry Pi is throttled."""
    celsius, slowed = temperature_c(), throttled()
    text = "not reported by this machine" if celsius is None else f"{celsius:.0f} °C"
    hot = celsius is not None and celsius >= HOT_C
    if hot:
        text += f"; from {HOT_C:g} °C on the detector runs less often"
    if slowed:
        text += "; the firmware throttles the processor: heat or low voltage"
    figures = {"celsius": celsius, "throttled": None if slowed is None else int(slowed)}
    return Finding(text, "warning" if hot or slowed else "ok", figures)
