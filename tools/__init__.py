"""What the checkout needs to set itself up and to check itself."""
