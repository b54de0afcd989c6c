"""The sections below the first screen: charts, their tables, devices, downloads."""
