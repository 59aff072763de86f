"""A pipeline's configuration: one TOML file and the environment, checked once, frozen from then on."""
