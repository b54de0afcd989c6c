"""Releases of a fleet: the signed repository, wheels for each kind of device, and the bill of materials."""
