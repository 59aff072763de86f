"""What a process says of itself: histograms, counters, the live view."""
