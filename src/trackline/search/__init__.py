"""Reading the lines back: from files, as one story."""
