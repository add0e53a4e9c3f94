"""Where SQL begins and ends among English: the words of statements, and of what is none."""
