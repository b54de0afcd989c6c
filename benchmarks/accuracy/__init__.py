"""Accuracy of counting: real tracks with published identities, clips counted by hand, scripted scenes."""
