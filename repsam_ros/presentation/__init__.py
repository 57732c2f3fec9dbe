"""How results look to people: pictures, charts, tables and pages."""
