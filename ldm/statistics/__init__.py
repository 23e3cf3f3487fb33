"""From rows to numbers: bootstrap replicates, frontiers, power laws, and the verdicts on the findings.

In reading order: refusal, bootstrap, settings, scatter, evidence, budget, frontier, optimum, rule_of_thumb, contest,
sides, bands, comparisons, ranks, verdicts, superres, dreambooth, student, power_law, isoflop, families, worth,
policy, search, sensitivity.
"""
