"""How good decisions turned out to be, once their labels are in: an app of its own, beside the pipeline."""
