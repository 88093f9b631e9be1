"""Several cameras at once: calibrate and place them, synchronise them, and triangulate people. Needs no torch."""
