"""Fetches what Bronco needs into the checkout; standard library only, since it runs first."""
