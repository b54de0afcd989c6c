"""Figures: speed, memory and what is found, measured by scripts, as ratios within one run where they are times."""
