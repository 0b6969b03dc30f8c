"""The broker client against the simulator."""
