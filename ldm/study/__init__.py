"""What is run and recorded: cells, their rows, and the evaluators that turn one into the other.

In reading order: cells, rows, influences, results, evaluator, run, grids, recorded, conditions, scene_metrics,
sampling, real, racing, denoising, training_rows, superres_grid, superres, photographs, likeness, dreambooth,
interpolation, distillation, lever_cells, levers, lever_grid, lever_record, diversity, probes, confounders, findings,
findings_index, recompute, questions, lessons, tpu_plan, tpu_compiler, roofline.
"""
