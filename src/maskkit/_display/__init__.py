"""Tables, charts, collages and drawings over photos."""
