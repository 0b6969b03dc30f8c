"""The bronco command: settings, logs, metrics and the stack."""
