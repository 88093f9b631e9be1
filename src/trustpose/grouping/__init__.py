"""Group candidates into people, and suppress duplicate poses."""
