"""Clusters that can be hurt: chaos.targets.base says what one must be able to do."""
