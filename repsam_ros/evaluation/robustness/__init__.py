"""How scores fall as frames get worse."""
