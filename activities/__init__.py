"""What workflows may ask of the outside world, one class per system."""
