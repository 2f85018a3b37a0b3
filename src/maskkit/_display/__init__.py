"""How results look: tables, charts, collages and drawings over photos."""
