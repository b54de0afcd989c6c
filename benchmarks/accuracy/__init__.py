"""Measure the accuracy of counting: on real tracks with published identities, on clips and on scripted scenes."""
