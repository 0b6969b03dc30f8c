"""What Bronco costs: orders against a floor of empty workflows, on one stack, in one run."""
