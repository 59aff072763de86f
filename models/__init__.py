"""Models: repository, manifests, sessions and training. Depends on `features` alone."""
