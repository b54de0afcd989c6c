"""The operator's side of a fleet: enrol devices, sign releases, roll them out in stages, and see who needs a person."""
