"""The dashboard: pages over the same store and control workflow as the API and the CLI."""
