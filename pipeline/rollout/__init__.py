"""Versions of a model beside each other: canary, shadow, the rules that promote or roll back, and the swap itself."""
