"""What is run and recorded: cells, their rows, and the evaluators that turn one into the other."""
