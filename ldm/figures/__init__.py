"""Every chart, table and widget of the book: from rows and pictures to something to look at.

In reading order: charts, tables, pictures, record, diagram, primer, data, training, laws, isoflop, averages, plots,
levels, samples, contest, samplers, settings, advice, explorer_data, explorer, race, findings, kinds, families,
family_training, family_pictures, ways, levers, lever_frontier, lever_bits, guides, diversity, search, divider,
superres, enlarge, dreambooth, scrubber, sensitivity, confounders, lessons, asked, ask, protocol, speed, growth,
roofline, paper_sizes.
"""
