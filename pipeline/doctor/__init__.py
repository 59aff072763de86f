"""What stands around a pipeline, looked at before or while it runs: what is wrong, and what to mend."""
