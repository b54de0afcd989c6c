"""Scripts that measure accuracy, speed and load, and inject faults; times are compared as ratios within one run."""
