"""From rows to numbers: bootstrap replicates, frontiers, power laws, seeds, and the verdicts on the findings."""
