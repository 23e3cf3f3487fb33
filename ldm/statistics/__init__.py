"""From rows to numbers: bootstrap replicates, frontiers, power laws, and the verdicts on the findings."""
