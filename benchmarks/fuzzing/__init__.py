"""Send damaged, random and hostile input to the readers of files, messages and requests."""
