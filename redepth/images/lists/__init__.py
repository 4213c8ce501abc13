"""Lists of images: any text or table, read row by row by one table of rules."""
