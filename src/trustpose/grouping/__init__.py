"""Candidates → people: which poses of a photo are one person."""
