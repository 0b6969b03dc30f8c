"""Stand-ins that speak the real protocol of an outside system."""
