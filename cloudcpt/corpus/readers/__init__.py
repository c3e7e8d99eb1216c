"""How files of other formats are read: each module yields the rows of one, in constant memory, with their places."""
